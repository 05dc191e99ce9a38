#include "verbs.h"

#include <array>

#include "commands/commands.h"

namespace tare::cli {

namespace {

constexpr std::array global_table = {
    &flag::debug,          &flag::log,      &flag::log_format, &flag::root,
    &flag::systemd_cgroup, &flag::rootless, &flag::version};  // the last one is not inherited

constexpr std::array checkpoint_flags = {
    &flag::image_path,    &flag::work_path,       &flag::parent_path,
    &flag::leave_running, &flag::tcp_established, &flag::tcp_skip_in_flight,
    &flag::link_remap,    &flag::ext_unix_sk,     &flag::shell_job,
    &flag::lazy_pages,    &flag::status_fd,       &flag::page_server,
    &flag::file_locks,    &flag::pre_dump,        &flag::manage_cgroups_mode,
    &flag::empty_ns,      &flag::auto_dedup};
constexpr std::array restore_flags = {
    &flag::console_socket, &flag::image_path,       &flag::work_path,  &flag::tcp_established,
    &flag::ext_unix_sk,    &flag::shell_job,        &flag::file_locks, &flag::manage_cgroups_mode,
    &flag::bundle,         &flag::detach,           &flag::pid_file,   &flag::no_subreaper,
    &flag::no_pivot,       &flag::empty_ns,         &flag::auto_dedup, &flag::lazy_pages,
    &flag::lsm_profile,    &flag::lsm_mount_context};
constexpr std::array create_flags = {
    &flag::bundle,   &flag::console_socket, &flag::pidfd_socket, &flag::pid_file,
    &flag::no_pivot, &flag::no_new_keyring, &flag::preserve_fds};
constexpr std::array run_flags = {&flag::bundle,       &flag::console_socket, &flag::pidfd_socket,
                                  &flag::pid_file,     &flag::detach,         &flag::keep,
                                  &flag::no_subreaper, &flag::no_pivot,       &flag::no_new_keyring,
                                  &flag::preserve_fds};
constexpr std::array events_flags = {&flag::interval, &flag::stats};
constexpr std::array exec_flags = {&flag::console_socket,
                                   &flag::pidfd_socket,
                                   &flag::cwd,
                                   &flag::env,
                                   &flag::tty,
                                   &flag::user,
                                   &flag::additional_gids,
                                   &flag::process,
                                   &flag::detach,
                                   &flag::pid_file,
                                   &flag::process_label,
                                   &flag::apparmor,
                                   &flag::no_new_privs,
                                   &flag::cap,
                                   &flag::exec_preserve_fds,
                                   &flag::cgroup,
                                   &flag::ignore_paused};
constexpr std::array delete_flags = {&flag::force};
constexpr std::array doctor_flags = {&flag::every_finding, &flag::text_format};
constexpr std::array kill_flags = {&flag::all};
constexpr std::array list_flags = {&flag::format, &flag::quiet};
constexpr std::array ps_flags = {&flag::format};
constexpr std::array spec_flags = {&flag::bundle, &flag::rootless_spec};
constexpr std::array update_flags = {
    &flag::resources,          &flag::blkio_weight,   &flag::cpu_period,
    &flag::cpu_quota,          &flag::cpu_burst,      &flag::cpu_share,
    &flag::cpu_rt_period,      &flag::cpu_rt_runtime, &flag::cpuset_cpus,
    &flag::cpuset_mems,        &flag::cpu_idle,       &flag::memory,
    &flag::memory_reservation, &flag::memory_swap,    &flag::pids_limit,
    &flag::l3_cache_schema,    &flag::mem_bw_schema,  &flag::kernel_memory,
    &flag::kernel_memory_tcp};
constexpr std::array plan_flags = {&flag::bundle, &flag::text_format, &flag::no_pivot,
                                   &flag::no_new_keyring};

constexpr auto interleaved = AfterArgument::flags;
constexpr auto flags_first = AfterArgument::arguments;

constexpr std::array table = {
    Verb{"checkpoint", "save a running container to a directory, by criu(8)", "<container-id>",
         "The container ends, and restore can bring it back to life from there, on this host or\n"
         "on another one that has its bundle.\n",
         checkpoint_flags, 1, 1, interleaved, checkpoint},
    Verb{"completion",
         "print a script that completes commands in a shell",
         "<bash|zsh|fish>",
         "Flags, commands, and the ids of containers.\n",
         {},
         1,
         1,
         interleaved,
         completion},
    Verb{"create", "create a container; its program waits for start", "<container-id>",
         "Sets up all of the container that the bundle's config.json describes. The program\n"
         "of the config is held until start.\n",
         create_flags, 1, 1, interleaved, create, 1, true},
    Verb{"delete", "remove a container that has ended", "<container-id>",
         "Removes the state and the cgroup of a container that has ended or that was never\n"
         "started.\n",
         delete_flags, 1, 1, interleaved, remove},
    Verb{"doctor", "report what this host lacks for containers, and the remedies", "",
         "Tries what containers are made of, as the caller, and changes nothing. Prints what is\n"
         "missing or limited, with the remedy; JSON has all that was looked at. The exit status\n"
         "is 0 where a start of the config of spec (spec --rootless for an ordinary user) has all\n"
         "that it needs, and 1 where something required is missing. With --systemd-cgroup before\n"
         "the command, systemd is required, too.\n",
         doctor_flags, 0, 0, interleaved, doctor},
    Verb{"events", "print what a container uses, and its OOM kills, as JSON", "<container-id>",
         "A line each: a sample after each interval, and a kill when it happens, until no\n"
         "process is left.\n",
         events_flags, 1, 1, interleaved, events},
    Verb{"exec", "run a further process in a container",
         "<container-id> <command> [argument ...]  |  --process FILE <container-id>",
         "Flags end at the container's id. The exit status is that of the process, or 255\n"
         "if it could not be started.\n",
         exec_flags, 1, -1, flags_first, exec, 255},
    Verb{"features",
         "print what this runtime supports, as JSON",
         "",
         "",
         {},
         0,
         0,
         interleaved,
         features},
    Verb{"kill", "send a signal to a container's first process", "<container-id> [signal]",
         "The signal is a name, with or without SIG, or a number; TERM where none is given.\n",
         kill_flags, 1, 2, flags_first, kill},
    Verb{"list", "list containers", "", "", list_flags, 0, 0, interleaved, list},
    Verb{"man",
         "print the manual page of this program, or of a command",
         "[verb]",
         "In the macros of man(7): a file for section 8, or for `man -l -`.\n",
         {},
         0,
         1,
         interleaved,
         man},
    Verb{"mounts",
         "add mounts to a running container, or remove them",
         "<add|remove> <container-id> <file>",
         "The file is a JSON array like mounts of config.json: bind mounts and tmpfs. Sources are\n"
         "this host's, destinations the container's. \"remove\" unmounts what \"add\" has\n"
         "mounted at each destination, and reads no other member.\n",
         {},
         3,
         3,
         interleaved,
         mounts},
    Verb{"pause",
         "stop all processes of a container",
         "<container-id>",
         "They stay as they are until resume.\n",
         {},
         1,
         1,
         interleaved,
         pause},
    Verb{"plan", "print what would be done to start a container", "",
         "Needs no privilege and changes nothing.\n", plan_flags, 0, 0, interleaved, plan},
    Verb{"ps", "list the processes of a container", "<container-id> [ps option ...]",
         "A table is made by ps(1), called with the options that follow the container's id\n"
         "(default: -ef).\n",
         ps_flags, 1, -1, flags_first, ps},
    Verb{"restore", "start a container from what checkpoint has saved", "<container-id>",
         "It is a new container of this id, made from the bundle; its processes go on where they\n"
         "were.\n",
         restore_flags, 1, 1, interleaved, restore, 1, true},
    Verb{"resume",
         "let the processes of a paused container go on",
         "<container-id>",
         "",
         {},
         1,
         1,
         interleaved,
         resume},
    Verb{"run", "create a container, start it and wait for its end", "<container-id>",
         "The exit status is that of the container's program. The container is deleted when\n"
         "the program has ended.\n",
         run_flags, 1, 1, interleaved, run, 1, true},
    Verb{"spec", "write a config.json to start from", "", "", spec_flags, 0, 0, interleaved, spec},
    Verb{"start",
         "start the program of a created container",
         "<container-id>",
         "",
         {},
         1,
         1,
         interleaved,
         start},
    Verb{"state",
         "print the state of a container, as JSON",
         "<container-id>",
         "",
         {},
         1,
         1,
         interleaved,
         state},
    Verb{"update", "change the limits of a container", "<container-id>",
         "What is not named stays as it is. The limits of a container whose process runs\n"
         "change at once.\n",
         update_flags, 1, 1, interleaved, update},
};

constexpr std::array package_table = {
    PackageCommand{"install", "install this program, and have container engines use it"},
    PackageCommand{"uninstall", "undo what install has done"},
};

}  // namespace

std::span<const Verb> verbs() noexcept { return table; }

std::span<const PackageCommand> package_commands() noexcept { return package_table; }

const PackageCommand* find_package_command(std::string_view name) noexcept {
  for (const PackageCommand& command : package_table) {
    if (name == command.name) return &command;
  }
  return nullptr;
}

Flags global_flags() noexcept { return global_table; }

Flags inherited_flags() noexcept { return Flags(global_table).first(global_table.size() - 1); }

const Verb* find_verb(std::string_view name) noexcept {
  for (const Verb& verb : table) {
    if (name == verb.name) return &verb;
  }
  return nullptr;
}

}  // namespace tare::cli
