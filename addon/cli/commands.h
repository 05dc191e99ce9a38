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

/// What --version prints: version, commit, and what tare speaks and is made of, as engines read it.
std::string version(std::string_view name);

/// Removes a container that is not to stay, whatever state it is in; what keeps it is a warning:
/// its end, or the failure that led to that, is what the user has to know of.
void remove_failed(Container& container);
/// Writes to standard output at once.
void print(std::string_view text);
/// The choice of a flag like --format: `first` where it is not given. Throws `invalid_argument` for
/// another word.
bool is_second_choice(const Call& call, const Flag& flag, std::string_view first,
                      std::string_view second);

}  // namespace tare::cli
