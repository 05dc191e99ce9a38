/// \file
/// Where errors, warnings and debug lines go: standard error, or the file of --log; as text or as
/// one JSON object a line, in the shape that containerd's shim and podman read. A terminal gets
/// plain sentences, unless the form of the log or --debug was asked for.
#pragma once

#include <string>
#include <string_view>

namespace tare::cli::log {

enum class Format : bool { text, json };

struct Options {
  std::string path;  ///< empty: standard error
  Format format = Format::text;
  bool has_format = false;  ///< it was chosen by the caller
  bool debug = false;
};

/// Opens the log for appending. Throws tare::Error.
void open(const Options& options);

/// To the log, and to standard error as well where the log is another file. A terminal gets
/// `sentence` instead, where that is not empty.
void error(std::string_view message, std::string_view sentence = {});
void warning(std::string_view message);
/// Whether errors are plain sentences: standard error is a terminal and takes no log lines.
bool is_for_people() noexcept;
/// Whether the log is text on standard error, which is no terminal.
bool is_for_scripts() noexcept;
/// To standard error, without time and level.
void plain(std::string_view message);
/// Nothing without --debug.
void debug(std::string_view message);
/// Whether there is a log of --debug: no other message needs to be made.
bool debugging() noexcept;

}  // namespace tare::cli::log
