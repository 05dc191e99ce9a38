// Manual pages, in the macros of man(7).
#include <tare_commit.h>

#include <algorithm>

#include "pages.h"

namespace tare::cli {

namespace {

/// Quotes a word, or several in a line, for roff. What is typed has minus signs, not hyphens.
std::string escaped(std::string_view text) {
  std::string out;
  if (text.starts_with('.') || text.starts_with('\'')) out += "\\&";
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out;
}

/// Breaks text into lines that are short enough for mandoc(1). A sentence begins a line.
std::string wrapped(std::string_view text) {
  constexpr std::size_t width = 78;
  std::string out;
  std::size_t length = 0;
  bool ends_sentence = false;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(" \n"), text.size());
    const std::string word = escaped(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (word.empty()) continue;
    if (length > 0) {
      const bool breaks = ends_sentence || length + word.size() >= width;
      out += breaks ? '\n' : ' ';
      length = breaks ? 0 : length + 1;
    }
    out += word;
    length += word.size();
    ends_sentence = word.ends_with('.');
  }
  return out + "\n";
}

std::string upper(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  });
  return out;
}

std::string page_head(std::string_view name, std::string_view usage) {
  return ".TH " + escaped(upper(name)) +
         " 8 " TARE_COMMIT_DATE " \"tare " TARE_VERSION "\" \"System Administration\"\n.SH NAME\n" +
         escaped(name) + " \\- " + escaped(usage) + "\n";
}

std::string bold(std::string_view text) { return "\\fB" + escaped(text) + "\\fR"; }
std::string italic(std::string_view text) { return "\\fI" + escaped(text) + "\\fR"; }

std::string options(const std::vector<const Flag*>& flags) {
  std::string text = ".SH OPTIONS\n";
  for (const Flag* flag : flags) {
    const std::string value = *flag->value == '\0' ? "" : " " + italic(flag->value);
    text += ".TP\n" + bold("--" + std::string(flag->name)) + value;
    if (flag->letter != 0) text += ", " + bold(std::string("-") + flag->letter) + value;
    text += "\n" + wrapped(flag->help);
  }
  return text;
}

std::string reference(std::string_view program, std::string_view verb) {
  return ".BR " + escaped(program) + (verb.empty() ? "" : "\\-" + escaped(verb)) + " (8)";
}

constexpr std::string_view description = R"(.SH DESCRIPTION
Creates and runs containers that are described by a
.I bundle:
a directory with a file
.I config.json
as the runtime specification of the Open Container Initiative has it, and the
root file system that it names.
It is what container engines call; they bring images, networks and names.
.PP
Options of
%P
itself stand before the command, or among the options of the command.
A value follows its option as a word of its own or behind
.BR = .
One dash does where two are shown.
Of an option that is given twice the last one counts, unless it may be repeated.
)";

constexpr std::string_view ending = R"(.SH EXIT STATUS
.TP
.B 0
Done.
.TP
.B 1
It was not done.
The reason is on standard error, or in the log.
.TP
.B 3
There is no such command.
.TP
.B 255
.B exec
could not run the process.
.PP
.B run
and
.B exec
exit with the status of the process otherwise, or with 128 and the number of
the signal that ended it.
.SH ENVIRONMENT
.TP
.B XDG_RUNTIME_DIR
Where the state of containers is kept for a caller without privilege. If it is
not set, that is
.IR /run/user/UID ,
if there is such a directory, or
.IR /tmp/tare-UID .
.TP
.B NOTIFY_SOCKET
A socket of
.BR sd_notify (3)
that is told when the container's program is ready.
.TP
.BR LISTEN_FDS ", " LISTEN_PID
Sockets of
.BR sd_listen_fds (3)
that are passed on to the container's program.
.SH FILES
.TP
.I /run/tare
The state of containers: a directory for each.
)";

std::string with_name(std::string_view text, std::string_view program) {
  std::string out(text);
  for (std::size_t at = out.find("%P"); at != std::string::npos; at = out.find("%P", at)) {
    out.replace(at, 2, bold(program));
  }
  return out;
}

}  // namespace

std::string manual(std::string_view program) {
  std::string text = page_head(program, "Open Container Initiative runtime") + ".SH SYNOPSIS\n" +
                     bold(program) + " [" + italic("option") + " ...] " + italic("command") + " [" +
                     italic("argument") + " ...]\n" + with_name(description, program) +
                     ".SH COMMANDS\n";
  for (const Verb& verb : verbs()) {
    text += ".TP\n" + reference(program, verb.name) + "\n" + escaped(verb.usage) + "\n";
  }
  text += options(shown_flags(nullptr)) + std::string(ending) + ".SH SEE ALSO\n";
  for (const Verb& verb : verbs()) {
    text += reference(program, verb.name) + (&verb == &verbs().back() ? "\n" : " ,\n");
  }
  return text;
}

std::string manual(std::string_view program, const Verb& verb) {
  const std::string arguments = *verb.arguments == '\0' ? "" : " " + escaped(verb.arguments);
  std::string text = page_head(std::string(program) + "-" + verb.name, verb.usage) +
                     ".SH SYNOPSIS\n" + bold(std::string(program) + " " + verb.name) + " [" +
                     italic("option") + " ...]" + arguments + "\n";
  if (*verb.description != '\0') text += ".SH DESCRIPTION\n" + wrapped(verb.description);
  return text + options(shown_flags(&verb)) + ".SH SEE ALSO\n" + reference(program, "") + "\n";
}

}  // namespace tare::cli
