/// \file
/// Where errors, warnings and debug lines go: standard error, or the file of --log; as text or as
/// one JSON object a line, in the shape that containerd's shim and podman read.
#pragma once

#include <string>
#include <string_view>

namespace tare::cli::log {

enum class Format : bool { text, json };

/// Opens `path` (empty: standard error) for appending. Throws tare::Error.
void open(const std::string& path, Format format, bool debug);

/// To the log, and to standard error as well where the log is another file.
void error(std::string_view message);
void warning(std::string_view message);
/// Whether the log is text on standard error, which is no terminal.
bool is_for_scripts() noexcept;
/// To standard error, as it is.
void plain(std::string_view message);
/// Nothing without --debug.
void debug(std::string_view message);
/// So that nobody builds a message which is not wanted.
bool debugging() noexcept;

}  // namespace tare::cli::log
