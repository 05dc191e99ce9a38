/// \file
/// The table of verbs. It drives parsing and help, so that neither has a flag that the other does
/// not know.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "args.h"
#include "tare/container.h"

namespace tare::cli {

/// What a verb is called with.
struct Call {
  const Runtime& runtime;
  const Arguments& arguments;

  /// The first positional argument.
  const char* id() const { return arguments.positional().front(); }
};

struct Verb {
  const char* name;
  const char* usage;        ///< what it does, in one line
  const char* arguments;    ///< "<container-id> [signal]"
  const char* description;  ///< more lines for its help, each ends with a newline; may be empty
  Flags flags;
  int min_arguments;
  int max_arguments;  ///< -1: any number
  AfterArgument after;
  /// Returns the exit status. Throws tare::Error, UsageError.
  int (*run)(const Call&);
  int failure = 1;               ///< exit status after a tare::Error
  bool makes_container = false;  ///< its argument is the id of a container that does not exist yet
};

std::span<const Verb> verbs() noexcept;
const Verb* find_verb(std::string_view name) noexcept;
/// A command of `npx tare` that is not in the table, because the npm package implements it.
struct PackageCommand {
  const char* name;
  const char* usage;  ///< what it does, in one line
};

std::span<const PackageCommand> package_commands() noexcept;
const PackageCommand* find_package_command(std::string_view name) noexcept;

/// Returns the name by which tare was called, without its directory: an engine's log and a user's
/// terminal show the command line that was typed, even if tare is installed in another runtime's
/// place.
std::string_view program_name() noexcept;
/// Must be called once, with argv[0], which must stay valid.
void set_program_name(const char* called_as) noexcept;

/// Help texts, made from the table.
std::string help();
std::string help(const Verb& verb);
std::string help(const PackageCommand& command);
/// Returns the usage in one line.
std::string usage();
std::string usage(const Verb& verb);

namespace flag {

using enum FlagType;

// Of tare itself, before the verb.
inline constexpr Flag debug{"debug", 0, boolean, "", "log what is done as well"};
inline constexpr Flag log{"log", 0, text, "FILE",
                          "append the log to FILE (default: standard error)"};
inline constexpr Flag log_format{"log-format", 0, text, "text|json",
                                 "format of the log (default: text)"};
inline constexpr Flag root{"root", 0, text, "DIR",
                           "where the state of containers is kept (default: /run/tare, or\n"
                           "$XDG_RUNTIME_DIR/tare for an ordinary user)"};
inline constexpr Flag systemd_cgroup{
    "systemd-cgroup", 0, boolean, "",
    "let systemd make the cgroup; cgroupsPath is SLICE:PREFIX:NAME, or\n"
    "SLICE:NAME"};
inline constexpr Flag rootless{"rootless", 0, text, "true|false|auto",
                               "tolerate that cgroups may not be changed (default: auto)"};
inline constexpr Flag version{"version", 'v', boolean, "", "print the version"};

// create, run, exec.
inline constexpr Flag bundle{
    "bundle", 'b', text, "DIR",
    "the bundle, a directory with config.json (default: the working directory)"};
inline constexpr Flag console_socket{"console-socket", 0, text, "PATH",
                                     "AF_UNIX socket that gets the master of the terminal"};
inline constexpr Flag pidfd_socket{"pidfd-socket", 0, text, "PATH",
                                   "AF_UNIX socket that gets a pidfd of the process"};
inline constexpr Flag pid_file{"pid-file", 0, text, "FILE", "write the process id to FILE"};
inline constexpr Flag no_pivot{"no-pivot", 0, boolean, "",
                               "move the root instead of pivot_root(2), for a rootfs on a ramdisk"};
inline constexpr Flag no_new_keyring{"no-new-keyring", 0, boolean, "",
                                     "keep the session keyring of the caller"};
inline constexpr Flag preserve_fds{
    "preserve-fds", 0, number, "N",
    "pass N more descriptors, after standard streams and $LISTEN_FDS"};
inline constexpr Flag detach{"detach", 'd', boolean, "", "do not wait for the process"};
inline constexpr Flag keep{"keep", 0, boolean, "", "do not delete the container when it has ended"};
inline constexpr Flag no_subreaper{"no-subreaper", 0, boolean, "",
                                   "do not become the parent of orphaned processes"};

// exec.
inline constexpr Flag exec_preserve_fds{"preserve-fds", 0, number, "N",
                                        "pass N more descriptors, after standard streams"};
inline constexpr Flag cwd{"cwd", 0, text, "DIR", "working directory in the container"};
inline constexpr Flag env{"env", 'e', texts, "NAME=VALUE", "set an environment variable"};
inline constexpr Flag tty{"tty", 't', boolean, "", "give the process a terminal"};
inline constexpr Flag user{"user", 'u', text, "UID[:GID]", "user and group, as numbers"};
inline constexpr Flag additional_gids{"additional-gids", 'g', numbers, "GID",
                                      "a supplementary group"};
inline constexpr Flag process{"process", 'p', text, "FILE",
                              "the OCI process object, instead of command and other flags of it"};
inline constexpr Flag process_label{"process-label", 0, text, "LABEL", "SELinux label"};
inline constexpr Flag apparmor{"apparmor", 0, text, "PROFILE", "AppArmor profile"};
inline constexpr Flag no_new_privs{"no-new-privs", 0, boolean, "", "set no_new_privs of prctl(2)"};
inline constexpr Flag cap{"cap", 'c', texts, "CAP", "a further capability"};
inline constexpr Flag cgroup{"cgroup", 0, texts, "[CONTROLLER[,...]:]PATH",
                             "an existing cgroup below the container's"};
inline constexpr Flag ignore_paused{"ignore-paused", 0, boolean, "",
                                    "allow it in a paused container"};

// checkpoint, restore.
inline constexpr Flag image_path{"image-path", 0, text, "DIR",
                                 "directory of criu's images (default: ./checkpoint)"};
inline constexpr Flag work_path{"work-path", 0, text, "DIR",
                                "directory of criu's log and working files (default: that of the\n"
                                "images)"};
inline constexpr Flag parent_path{"parent-path", 0, text, "DIR",
                                  "the images of an earlier --pre-dump, which these are to be the\n"
                                  "difference to; relative to --image-path"};
inline constexpr Flag leave_running{"leave-running", 0, boolean, "",
                                    "let the container live on, else it is deleted"};
inline constexpr Flag tcp_established{"tcp-established", 0, boolean, "",
                                      "allow open TCP connections"};
inline constexpr Flag tcp_skip_in_flight{"tcp-skip-in-flight", 0, boolean, "",
                                         "leave out TCP connections that are not yet accepted"};
inline constexpr Flag link_remap{"link-remap", 0, boolean, "",
                                 "give files that were removed while open a name again"};
inline constexpr Flag ext_unix_sk{"ext-unix-sk", 0, boolean, "",
                                  "allow Unix sockets that are connected to the outside"};
inline constexpr Flag shell_job{"shell-job", 0, boolean, "",
                                "allow a session and a terminal that are the caller's"};
inline constexpr Flag lazy_pages{"lazy-pages", 0, boolean, "",
                                 "serve or fetch memory when it is used, by userfaultfd(2)"};
inline constexpr Flag status_fd{"status-fd", 0, number, "N",
                                "write a NUL to this descriptor when lazy pages are ready"};
inline constexpr Flag page_server{"page-server", 0, text, "ADDRESS:PORT",
                                  "server that takes the memory; with --lazy-pages, where it is\n"
                                  "served"};
inline constexpr Flag file_locks{"file-locks", 0, boolean, "", "save and restore file locks"};
inline constexpr Flag pre_dump{"pre-dump", 0, boolean, "",
                               "save memory alone, and let the container live on"};
inline constexpr Flag manage_cgroups_mode{
    "manage-cgroups-mode", 0, text, "soft|full|strict|ignore",
    "what becomes of the container's cgroups (default: soft)"};
inline constexpr Flag empty_ns{"empty-ns", 0, texts, "NAMESPACE",
                               "restore nothing in it; only network, and always"};
inline constexpr Flag auto_dedup{
    "auto-dedup", 0, boolean, "",
    "drop from earlier images what later ones have, or images as they\n"
    "are read"};
inline constexpr Flag lsm_profile{"lsm-profile", 0, text, "TYPE:NAME",
                                  "AppArmor profile or SELinux label instead of the saved one"};
inline constexpr Flag lsm_mount_context{"lsm-mount-context", 0, text, "CONTEXT",
                                        "SELinux context of mounts instead of the saved one"};

// Others.
inline constexpr Flag all{
    "all", 'a', boolean, "", "a container that is not running is not an error", true};
inline constexpr Flag force{
    "force", 'f', boolean, "",
    "kill what still runs; a container that does not exist is not an error"};
inline constexpr Flag format{"format", 'f', text, "table|json",
                             "format of the output (default: table)"};
inline constexpr Flag quiet{"quiet", 'q', boolean, "", "ids only"};
inline constexpr Flag rootless_spec{"rootless", 0, boolean, "", "for a caller without privilege"};
// events.
inline constexpr Flag interval{"interval", 0, text, "DURATION",
                               "time between two samples, such as 500ms or 1m (default: 5s)"};
inline constexpr Flag stats{"stats", 0, boolean, "", "print one sample, and no more"};

// update.
inline constexpr Flag resources{"resources", 'r', text, "FILE|-",
                                "an OCI resources object, from FILE or standard input, instead of\n"
                                "the flags of single limits"};
inline constexpr Flag blkio_weight{"blkio-weight", 0, text, "N", "share of block I/O, 10 to 1000"};
inline constexpr Flag cpu_period{"cpu-period", 0, text, "USEC", "period of the quota"};
inline constexpr Flag cpu_quota{"cpu-quota", 0, text, "USEC",
                                "processor time in each period, -1: no limit"};
inline constexpr Flag cpu_burst{"cpu-burst", 0, text, "USEC",
                                "unused time that a later period may use beyond the quota"};
inline constexpr Flag cpu_share{"cpu-share", 0, text, "N",
                                "share of processor time, 2 to 262144 (default: 1024)"};
inline constexpr Flag cpu_rt_period{"cpu-rt-period", 0, text, "USEC", "of cgroup v1", true};
inline constexpr Flag cpu_rt_runtime{"cpu-rt-runtime", 0, text, "USEC", "of cgroup v1", true};
inline constexpr Flag cpuset_cpus{"cpuset-cpus", 0, text, "LIST", "processors, such as 0-3,7"};
inline constexpr Flag cpuset_mems{"cpuset-mems", 0, text, "LIST", "memory nodes, such as 0,1"};
inline constexpr Flag cpu_idle{"cpu-idle", 0, text, "0|1",
                               "1: run only on otherwise idle processors"};
inline constexpr Flag memory{"memory", 0, text, "BYTES",
                             "limit of memory, such as 50M, -1: no limit"};
inline constexpr Flag memory_reservation{"memory-reservation", 0, text, "BYTES",
                                         "memory that is taken last when it is short"};
inline constexpr Flag memory_swap{"memory-swap", 0, text, "BYTES",
                                  "limit of memory and swap together, -1: no limit"};
inline constexpr Flag pids_limit{"pids-limit", 0, text, "N",
                                 "limit of processes and threads, -1: no limit"};
inline constexpr Flag l3_cache_schema{"l3-cache-schema", 0, text, "SCHEMA",
                                      "schema of the L3 cache for resctrl"};
inline constexpr Flag mem_bw_schema{"mem-bw-schema", 0, text, "SCHEMA",
                                    "schema of memory bandwidth for resctrl"};
inline constexpr Flag kernel_memory{"kernel-memory", 0, text, "BYTES", "ignored", true};
inline constexpr Flag kernel_memory_tcp{"kernel-memory-tcp", 0, text, "BYTES", "ignored", true};

// doctor, plan.
inline constexpr Flag every_finding{"all", 'a', boolean, "",
                                    "show also what is as containers need it"};
inline constexpr Flag text_format{"format", 'f', text, "text|json",
                                  "format of the output (default: text)"};

}  // namespace flag

/// Flags before the verb.
Flags global_flags() noexcept;
/// Those of them that may also follow the verb.
Flags inherited_flags() noexcept;

}  // namespace tare::cli
