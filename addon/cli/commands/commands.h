/// \file
/// The verbs. Each returns the exit status; errors are thrown (Verb::run).
#pragma once

#include <string>
#include <string_view>

#include "verbs.h"

namespace tare::cli {

int checkpoint(const Call& call);
int create(const Call& call);
int start(const Call& call);
int run(const Call& call);
int exec(const Call& call);
int state(const Call& call);
int list(const Call& call);
int ps(const Call& call);
int kill(const Call& call);
int remove(const Call& call);
int events(const Call& call);
int mounts(const Call& call);
int pause(const Call& call);
int resume(const Call& call);
int restore(const Call& call);
int update(const Call& call);
int spec(const Call& call);
int features(const Call& call);
int plan(const Call& call);
int doctor(const Call& call);
int completion(const Call& call);
int man(const Call& call);

/// Returns the output of --version: version, commit, and what tare supports and is built with, as
/// engines parse it.
std::string version(std::string_view name);

/// Removes a container that must not stay, whatever state it is in. If that fails, it only warns:
/// the user needs to know of the container's end, or of the failure that led here.
void remove_failed(Container& container);
/// Writes to standard output at once.
void print(std::string_view text);
/// Returns whether a flag like --format has its second choice; `first` is the default. Throws
/// `invalid_argument` for another word.
bool is_second_choice(const Call& call, const Flag& flag, std::string_view first,
                      std::string_view second);

}  // namespace tare::cli
