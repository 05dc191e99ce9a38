/// \file
/// Where errors, warnings and debug messages go: standard error, or the file of --log; as text or
/// as one JSON object per line, in the format that containerd's shim and podman read. A terminal
/// gets plain sentences, unless the log format or --debug was requested.
#pragma once

#include <string>
#include <string_view>

namespace tare::cli::log {

enum class Format : bool { text, json };

struct Options {
  std::string path;  ///< empty: standard error
  Format format = Format::text;
  bool has_format = false;  ///< the caller has chosen the format
  bool debug = false;
};

/// Opens the log for appending. Throws tare::Error.
void open(const Options& options);

/// Writes to the log, and to standard error as well if the log is another file. A terminal gets
/// `sentence` instead, unless that is empty.
void error(std::string_view message, std::string_view sentence = {});
void warning(std::string_view message);
/// Returns whether errors are plain sentences: standard error is a terminal and gets no log lines.
bool is_for_people() noexcept;
/// Returns whether the log is text on standard error, which is not a terminal.
bool is_for_scripts() noexcept;
/// Writes to standard error, without time and level.
void plain(std::string_view message);
/// Does nothing without --debug.
void debug(std::string_view message);
/// Returns whether --debug is given: otherwise no message needs to be composed.
bool debugging() noexcept;

}  // namespace tare::cli::log
