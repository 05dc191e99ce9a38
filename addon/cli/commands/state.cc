// state, list, ps.
#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "commands/commands.h"
#include "tare/error.h"
#include "tare/pidfd.h"
#include "tare/printable.h"

namespace tare::cli {

namespace {

using Row = std::vector<std::string>;

/// Columns of at least 12 characters, 3 between them; the last one is not padded. A row stays one
/// line, whatever a cell contains.
std::string table(std::vector<Row> rows) {
  constexpr std::size_t min_width = 12;
  constexpr std::size_t gap = 3;
  std::vector<std::size_t> widths(rows.front().size(), min_width);
  for (Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); i++) {
      row[i] = printable_line(row[i]);
      widths[i] = std::max(widths[i], row[i].size() + gap);
    }
  }
  std::string text;
  for (const Row& row : rows) {
    for (std::size_t i = 0; i + 1 < row.size(); i++) {
      text += row[i];
      text.append(widths[i] - row[i].size(), ' ');
    }
    text += row.back() + "\n";
  }
  return text;
}

/// Returns the name that /etc/passwd has for `uid`, or "#UID". Other name services would have to be
/// loaded.
std::string user_name(std::string_view passwd, uid_t uid) {
  const std::string wanted = std::to_string(uid);
  while (!passwd.empty()) {
    const auto end = passwd.find('\n');
    const std::string_view line = passwd.substr(0, end);
    const auto name_end = line.find(':');
    const auto uid_begin = line.find(':', name_end == line.npos ? name_end : name_end + 1);
    if (uid_begin != line.npos) {
      const std::string_view uid_field = line.substr(uid_begin + 1);
      if (uid_field.substr(0, uid_field.find(':')) == wanted) {
        return std::string(line.substr(0, name_end));
      }
    }
    passwd.remove_prefix(end == passwd.npos ? passwd.size() : end + 1);
  }
  return "#" + wanted;
}

std::string list_as_table(const std::vector<ContainerState>& states) {
  const std::string passwd =
      states.empty() ? "" : read_file_if_exists(AT_FDCWD, "/etc/passwd").value_or("");
  std::vector<Row> rows = {{"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"}};
  for (const ContainerState& state : states) {
    rows.push_back({state.id, std::to_string(state.pid), status_name(state.status), state.bundle,
                    state.created, user_name(passwd, state.owner)});
  }
  return table(std::move(rows));
}

std::string list_as_json(const std::vector<ContainerState>& states) {
  std::string text = "[";
  for (const ContainerState& state : states) {
    if (text.size() > 1) text += ",";
    text += state_json(state, true, 0);
  }
  return text + "]\n";
}

/// Returns what ps(1) prints with `options`.
std::string run_ps(std::span<char* const> options) {
  std::array<int, 2> pipe = {};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) throw_errno("pipe2");
  const Fd reader(pipe[0]);
  Fd writer(pipe[1]);
  std::string name = "ps";
  std::string all = "-ef";
  std::vector<char*> arguments = {name.data()};
  arguments.insert(arguments.end(), options.begin(), options.end());
  if (options.empty()) arguments.push_back(all.data());
  arguments.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, writer.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, writer.get(), STDERR_FILENO);
  pid_t pid = -1;
  const int error = ::posix_spawnp(&pid, "ps", &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    throw Error(ErrorKind::system, "ps: cannot execute ps(1): " + errno_text(error) +
                                       "; install it (package procps) or use --format json")
        .with_errno(error, "execve");
  }
  writer.reset();
  std::string output = read_all(reader.get(), "output of ps(1)");
  if (reap_by_pid(pid).value_or(ExitStatus{}).code != 0) {
    throw Error(ErrorKind::system, "ps: ps(1) failed: " + output);
  }
  return output;
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    const auto begin = line.find_first_not_of(" \t");
    if (begin == line.npos) return words;
    line.remove_prefix(begin);
    words.push_back(line.substr(0, line.find_first_of(" \t")));
    line.remove_prefix(words.back().size());
  }
}

/// Returns the title line of `output` and the lines of `pids`.
std::string filter_ps(std::string_view output, const std::vector<pid_t>& pids) {
  std::string text;
  std::size_t pid_column = 0;
  while (!output.empty()) {
    const auto end = output.find('\n');
    const std::string_view line = output.substr(0, end);
    output.remove_prefix(end == output.npos ? output.size() : end + 1);
    const auto words = words_of(line);
    if (text.empty()) {
      const auto title = std::find(words.begin(), words.end(), "PID");
      if (title == words.end()) {
        throw Error(ErrorKind::invalid_argument,
                    "ps: couldn't find PID field in ps output: choose options with a column PID");
      }
      pid_column = static_cast<std::size_t>(title - words.begin());
      text = std::string(line) + "\n";
      continue;
    }
    std::uint32_t pid = 0;
    if (words.size() > pid_column && parse_number(words[pid_column], pid) &&
        std::find(pids.begin(), pids.end(), static_cast<pid_t>(pid)) != pids.end()) {
      text += std::string(line) + "\n";
    }
  }
  return text;
}

}  // namespace

int state(const Call& call) {
  print(state_json(Container::open(call.runtime, call.id()).state(), true) + "\n");
  return 0;
}

int list(const Call& call) {
  const bool json = is_second_choice(call, flag::format, "table", "json");
  // The default root is created with the first container. A --root that does not exist is a
  // mistake, which an empty list would hide.
  const std::string& root = call.runtime.root;
  if (!root.empty() && ::access(root.c_str(), F_OK) != 0) {
    throw Error(ErrorKind::not_found, "--root " + root + ": " + errno_text(errno) +
                                          "; name a directory with the state of containers");
  }
  const std::vector<ContainerState> states = Container::list(call.runtime);
  if (call.arguments.is_set(flag::quiet)) {
    std::string ids;
    for (const ContainerState& state : states) ids += state.id + "\n";
    print(ids);
  } else {
    print(json ? list_as_json(states) : list_as_table(states));
  }
  return 0;
}

int ps(const Call& call) {
  const bool json = is_second_choice(call, flag::format, "table", "json");
  const std::vector<pid_t> pids = Container::open(call.runtime, call.id()).processes();
  if (!json) {
    // In some locales ps(1) prints control characters of command lines as they are.
    print(printable(filter_ps(run_ps(call.arguments.positional().subspan(1)), pids)));
    return 0;
  }
  std::string text = "[";
  for (const pid_t pid : pids) {
    if (text.size() > 1) text += ",";
    text += std::to_string(pid);
  }
  print(text + "]\n");
  return 0;
}

}  // namespace tare::cli
