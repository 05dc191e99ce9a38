// floor: one container of the default spec with the kernel's work alone, as a lower bound of time.
//
//   floor [--cgroup PATH] [--loop N] [--paced] [--steps] [--heap MB] ROOTFS COMMAND [ARG...]
//
// Without options one container is run and its exit status returned. --loop N runs N of them from
// this process, and prints a line {"ns":...} for each; --paced awaits a byte on stdin before each.
// --steps adds what each step took (and a clock reading of its own to each). --heap MB touches that
// much memory first, as a big process would have. The cgroup is /sys/fs/cgroup/floor-PID if none is
// named.
//
// Needs root, a cgroup v2 tree at /sys/fs/cgroup, and a ROOTFS with the directories proc, dev, sys.
// COMMAND is a path in ROOTFS.
//
// Done: cgroup, device filter, six new namespaces, private propagation, the rootfs bound and made
// read-only, seven mounts, six devices, six links, ten masked and five read-only paths, pivot_root,
// lo up, hostname, session, keyring, rlimit, capabilities, noNewPrivileges, exec, wait, removal.
// Not done, because it is not the kernel's work: parsing, checks of what is mounted on what, state,
// logs, synchronisation. Constants of the spec are constants here.
//
// Of several ways to do one thing the fastest was kept. Ratios of the step's time, measured on
// Linux 6.18, each against what is used here:
//   clone3: CLONE_VM|CLONE_VFORK 1, a copied address space 1.1 with 1 MB of heap, 4 with 60 MB
//   cgroup: CLONE_INTO_CGROUP 1; CLONE_NEWCGROUP with it is rooted in the new cgroup, so that no
//     unshare is needed in the child
//   mounts: mount(2) 1, fsopen + fsconfig + fsmount + move_mount 1.3 to 1.5
//   bind: mount(2) 1, open_tree + mount_setattr + move_mount 1.5
//   read-only paths: binds, then one recursive mount_setattr and one that takes it back from /proc
//     itself 1; a remount of each 1.15; open_tree_attr and move_mount of each 1.3
//   masked directories: binds of one empty, then removed directory 1, a tmpfs each 1.5
//   device filter: minors looked up in a bit table 1, one comparison per device on a combined
//     major:minor 1.2, comparisons of type, major and minor 2. The verifier's time depends on the
//     number of branches
//   attaching it: BPF_PROG_ATTACH 1, BPF_LINK_CREATE 2
// A second thread that makes the network namespace meanwhile saves a fifth if another processor is
// idle, and loses as much if none is: it is not the kernel's least work, so it is not done here.

#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/prctl.h>
#include <linux/resource.h>

#include <initializer_list>

#include "bare.h"
#include "floor_filter.h"

using sys::call;

namespace {

constexpr int kHere = -100;  // AT_FDCWD
constexpr int kRemoveDirectory = 0x200;
constexpr int kEmptyPath = 0x1000;
constexpr int kRecursive = 0x8000;
constexpr int kPathOnly = 010000000;  // O_PATH
constexpr int kCloseOnExec = 02000000;
#if defined(__aarch64__)
constexpr int kDirectory = 040000;
#else
constexpr int kDirectory = 0200000;
#endif
constexpr int kNoEntry = 2;  // ENOENT
constexpr unsigned kReadOnly = 1, kNoSuid = 2, kNoDev = 4, kNoExec = 8;
constexpr unsigned kBind = 0x1000, kRec = 0x4000, kPrivate = 1 << 18;
constexpr unsigned kRelatime = 1 << 21, kStrictAtime = 1 << 24;
constexpr unsigned kDetach = 2;
constexpr unsigned kCharacterDevice = 0020000;

struct Run {
  const char* rootfs;
  char** command;
};

// --- the time of each step ----------------------------------------------------------------------

struct Step {
  const char* name;
  U64 at;
};
Step steps[64];
unsigned step_count;
bool steps_wanted;

/// The child shares this memory, so that its steps are in one list with the parent's.
void done(const char* name) {
  if (steps_wanted) steps[step_count++] = {name, bare::now_ns()};
}

Word must(Word result, const char* what) {
  if (result >= 0) return result;
  bare::Text text;
  text.add("floor: ").add(what).add(": errno ").add(static_cast<U64>(-result)).add("\n");
  text.write_to(2);
  sys::exit(125);
}

// --- in the container ---------------------------------------------------------------------------

void mount(const char* source, const char* target, const char* type, unsigned flags,
           const char* data) {
  must(call(__NR_mount, source, target, type, flags, data), target);
}

/// Binds source over target, if there is a target.
void cover(const char* target, const char* source) {
  Word result = call(__NR_mount, source, target, nullptr, kBind | kRec, nullptr);
  if (result != -kNoEntry) must(result, target);
}

void set_attributes(const char* path, unsigned flags, U64 set, U64 clear) {
  mount_attr attributes = {.attr_set = set, .attr_clr = clear};
  must(call(__NR_mount_setattr, kHere, path, flags, &attributes, sizeof attributes), path);
}

void enter_rootfs(const char* rootfs) {
  mount(nullptr, "/", nullptr, kRec | kPrivate, nullptr);
  done("mounts private");
  mount(rootfs, rootfs, nullptr, kBind | kRec, nullptr);
  must(call(__NR_chdir, rootfs), "chdir rootfs");
  set_attributes("", kEmptyPath, kReadOnly, 0);
  done("rootfs");
}

void make_devices() {
  struct Device {
    const char* path;
    unsigned major, minor;
  };
  constexpr Device kDevices[] = {{"dev/null", 1, 3}, {"dev/zero", 1, 5},   {"dev/full", 1, 7},
                                 {"dev/tty", 5, 0},  {"dev/random", 1, 8}, {"dev/urandom", 1, 9}};
  for (const auto& device : kDevices) {
    must(call(__NR_mknodat, kHere, device.path, kCharacterDevice | 0666,
              device.major << 8 | device.minor),
         device.path);
  }
  done("devices");
  constexpr const char* kLinks[][2] = {
      {"/proc/self/fd", "dev/fd"},       {"/proc/self/fd/0", "dev/stdin"},
      {"/proc/self/fd/1", "dev/stdout"}, {"/proc/self/fd/2", "dev/stderr"},
      {"/proc/kcore", "dev/core"},       {"pts/ptmx", "dev/ptmx"}};
  for (const auto& link : kLinks) must(call(__NR_symlinkat, link[0], kHere, link[1]), link[1]);
  done("links");
}

void make_mounts() {
  mount("proc", "proc", "proc", 0, nullptr);
  done("proc");
  mount("tmpfs", "dev", "tmpfs", kNoSuid | kStrictAtime, "mode=755,size=65536k");
  done("dev");
  call(__NR_umask, 0);
  for (const char* path : {"dev/pts", "dev/shm", "dev/mqueue"}) {
    must(call(__NR_mkdirat, kHere, path, 0755), path);
  }
  done("mount points");
  mount("devpts", "dev/pts", "devpts", kNoSuid | kNoExec,
        "newinstance,ptmxmode=0666,mode=0620,gid=5");
  done("devpts");
  mount("shm", "dev/shm", "tmpfs", kNoSuid | kNoDev | kNoExec, "mode=1777,size=65536k");
  done("shm");
  mount("mqueue", "dev/mqueue", "mqueue", kNoSuid | kNoDev | kNoExec, nullptr);
  done("mqueue");
  make_devices();
  mount("sysfs", "sys", "sysfs", kNoSuid | kNoDev | kNoExec | kReadOnly, nullptr);
  done("sysfs");
  mount("cgroup", "sys/fs/cgroup", "cgroup2", kNoSuid | kNoDev | kNoExec | kRelatime | kReadOnly,
        nullptr);
  done("cgroup2");
}

/// Masks directories by a removed one: it can still be mounted, but nothing can be created in it.
/// That is an empty directory without a file system of its own.
void restrict_paths() {
  for (const char* path : {"proc/kcore", "proc/keys", "proc/latency_stats", "proc/timer_list",
                           "proc/timer_stats", "proc/sched_debug"}) {
    cover(path, "dev/null");
  }
  must(call(__NR_mkdirat, kHere, "dev/empty", 0555), "dev/empty");
  for (const char* path : {"proc/acpi", "proc/asound", "proc/scsi", "sys/firmware"}) {
    cover(path, "dev/empty");
  }
  must(call(__NR_unlinkat, kHere, "dev/empty", kRemoveDirectory), "dev/empty");
  done("masked paths");
  for (const char* path : {"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"}) {
    cover(path, path);
  }
  set_attributes("proc", kRecursive, kReadOnly, 0);
  set_attributes("proc", 0, 0, kReadOnly);
  set_attributes("sys", kRecursive, kReadOnly, 0);
  done("read-only paths");
}

void raise_loopback() {
  struct {
    char name[16];
    short flags;
    char rest[22];
  } request = {.name = "lo", .flags = 1 | 0x40 /* IFF_UP, IFF_RUNNING */};
  Word socket = must(call(__NR_socket, 1 /* AF_UNIX */, 2 | kCloseOnExec, 0), "socket");
  must(call(__NR_ioctl, socket, 0x8914 /* SIOCSIFFLAGS */, &request), "lo up");
  call(__NR_close, socket);
  done("lo up");
}

void become_process() {
  must(call(__NR_sethostname, "runc", 4), "sethostname");
  must(call(__NR_setsid), "setsid");
  call(__NR_umask, 022);
  must(call(__NR_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, "floor"), "keyctl");
  struct {
    U64 soft, hard;
  } files = {1024, 1024};
  must(call(__NR_prlimit64, 0, RLIMIT_NOFILE, &files, nullptr), "rlimit");
  done("hostname, session, keyring, rlimit");

  constexpr unsigned kKept = 1u << CAP_KILL | 1u << CAP_NET_BIND_SERVICE | 1u << CAP_AUDIT_WRITE;
  for (U64 capability = 0; capability <= CAP_LAST_CAP; capability++) {
    if ((kKept >> capability & 1) != 0 && capability < 32) continue;
    call(__NR_prctl, PR_CAPBSET_DROP, capability, 0, 0, 0);
  }
  done("bounding set");
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[2] = {{kKept, kKept, 0}, {0, 0, 0}};
  must(call(__NR_setgroups, 0, nullptr), "setgroups");
  must(call(__NR_capset, &header, sets), "capset");
  must(call(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "ambient");
  must(call(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
  done("credentials");
}

[[noreturn]] void container(void* context) {
  const Run& run = *static_cast<Run*>(context);
  done("clone3");
  enter_rootfs(run.rootfs);
  make_mounts();
  restrict_paths();
  must(call(__NR_pivot_root, ".", "."), "pivot_root");
  done("pivot_root");
  must(call(__NR_umount2, ".", kDetach), "umount old root");
  must(call(__NR_chdir, "/"), "chdir");
  done("umount old root");
  raise_loopback();
  become_process();
  const char* environment[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                               "TERM=xterm", nullptr};
  must(call(__NR_execve, run.command[0], run.command, environment), run.command[0]);
  sys::exit(125);
}

// --- outside ------------------------------------------------------------------------------------

void filter_devices(int cgroup) {
  int filter = static_cast<int>(must(load_device_filter(), "BPF_PROG_LOAD"));
  done("filter load");
  bpf_attr attach = {};
  attach.target_fd = static_cast<__u32>(cgroup);
  attach.attach_bpf_fd = static_cast<__u32>(filter);
  attach.attach_type = BPF_CGROUP_DEVICE;
  must(call(__NR_bpf, BPF_PROG_ATTACH, &attach, sizeof attach), "BPF_PROG_ATTACH");
  call(__NR_close, filter);
  done("filter attach");
}

/// Waits for the process; returns its exit status, or 128 + signal.
int wait_for(int pidfd) {
  int info[32] = {};  // siginfo_t: si_code is the third int, si_status the seventh
  must(call(__NR_waitid, 3 /* P_PIDFD */, pidfd, info, 4 /* WEXITED */, nullptr), "waitid");
  call(__NR_close, pidfd);
  done("wait");
  return info[2] == 1 /* CLD_EXITED */ ? info[6] : 128 + info[6];
}

int run_container(Run& run, const char* cgroup_path) {
  static char stack[16 * 1024] __attribute__((aligned(16)));
  must(call(__NR_mkdirat, kHere, cgroup_path, 0755), cgroup_path);
  int cgroup = static_cast<int>(must(
      call(__NR_openat, kHere, cgroup_path, kPathOnly | kDirectory | kCloseOnExec), cgroup_path));
  done("cgroup");
  filter_devices(cgroup);
  int pidfd = -1;
  clone_args arguments = {};
  arguments.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC |
                    CLONE_NEWCGROUP | CLONE_INTO_CGROUP | CLONE_PIDFD | CLONE_VM | CLONE_VFORK;
  arguments.pidfd = static_cast<__u64>(sys::word(&pidfd));
  arguments.exit_signal = 17;  // SIGCHLD
  arguments.stack = static_cast<__u64>(sys::word(stack));
  arguments.stack_size = sizeof stack;
  arguments.cgroup = static_cast<__u64>(cgroup);
  must(sys::clone_onto_stack(arguments, container, &run), "clone3");
  done("execve");
  int status = wait_for(pidfd);
  call(__NR_close, cgroup);
  must(call(__NR_unlinkat, kHere, cgroup_path, kRemoveDirectory), cgroup_path);
  done("cgroup removal");
  return status;
}

void print_cycle(U64 begin, U64 end) {
  bare::Text line;
  line.add("{\"ns\":").add(end - begin);
  U64 before = begin;
  for (unsigned i = 0; i < step_count; before = steps[i++].at) {
    line.add(i == 0 ? ",\"steps\":{\"" : ",\"").add(steps[i].name).add("\":");
    line.add(steps[i].at - before);
  }
  line.add(step_count == 0 ? "}\n" : "}}\n").write_to(1);
}

int loop(Run& run, const char* cgroup_path, U64 count, bool paced) {
  for (U64 i = 0; i < count; i++) {
    char go = 0;
    if (paced && call(__NR_read, 0, &go, 1) != 1) return 0;
    step_count = 0;
    U64 begin = bare::now_ns();
    if (int status = run_container(run, cgroup_path); status != 0) return status;
    print_cycle(begin, bare::now_ns());
  }
  return 0;
}

void touch_heap(U64 megabytes) {
  constexpr U64 kPage = 4096;
  U64 size = megabytes << 20;
  Word heap = must(call(__NR_mmap, nullptr, size, 1 | 2 /* PROT_READ, PROT_WRITE */,
                        2 | 0x20 /* MAP_PRIVATE, MAP_ANONYMOUS */, -1, 0),
                   "heap");
  for (U64 at = 0; at < size; at += kPage) reinterpret_cast<char*>(heap)[at] = 1;
}

int usage() {
  bare::Text()
      .add(
          "usage: floor [--cgroup PATH] [--loop N] [--paced] [--steps] [--heap MB] ROOTFS COMMAND "
          "[ARG...]\n")
      .write_to(2);
  return 125;
}

}  // namespace

int program(int count, char** arguments) {
  U64 cycles = 0, heap = 0;
  bool paced = false;
  bare::Text cgroup;
  cgroup.add("/sys/fs/cgroup/floor-").add(static_cast<U64>(call(__NR_getpid)));
  const char* cgroup_path = cgroup.c_str();
  int at = 1;
  for (; at < count && arguments[at][0] == '-'; at++) {
    if (bare::equal(arguments[at], "--paced")) {
      paced = true;
    } else if (bare::equal(arguments[at], "--steps")) {
      steps_wanted = true;
    } else if (bare::equal(arguments[at], "--cgroup") && at + 1 < count) {
      cgroup_path = arguments[++at];
    } else if (bare::equal(arguments[at], "--loop") && at + 1 < count) {
      if (!bare::parse_number(arguments[++at], cycles) || cycles == 0) return usage();
    } else if (bare::equal(arguments[at], "--heap") && at + 1 < count) {
      if (!bare::parse_number(arguments[++at], heap) || heap == 0) return usage();
    } else {
      return usage();
    }
  }
  if (count - at < 2 || (cycles == 0 && (paced || steps_wanted))) return usage();
  if (heap != 0) touch_heap(heap);
  Run run = {arguments[at], arguments + at + 1};
  return cycles == 0 ? run_container(run, cgroup_path) : loop(run, cgroup_path, cycles, paced);
}
