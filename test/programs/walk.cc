// walk: prints all that a process in a container can reach through /proc, and where attempts to
// break out lead. Must be run with all capabilities.
//
// Each line is "DEVICE:INODE PATH TARGET": what the path leads to, and the text of the link. The
// paths of attempts to break out begin with "escape".
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace {

void tell(const std::string& path, const std::string& shown) {
  struct stat status = {};
  if (stat(path.c_str(), &status) < 0) return;
  char target[4096] = "";
  const ssize_t size = readlink(path.c_str(), target, sizeof target - 1);
  printf("%lu:%lu %s %s\n", static_cast<unsigned long>(status.st_dev),
         static_cast<unsigned long>(status.st_ino), shown.c_str(), size < 0 ? "" : target);
}

std::vector<std::string> entries(const std::string& path) {
  std::vector<std::string> names;
  DIR* const directory = opendir(path.c_str());
  if (directory == nullptr) return names;
  const std::string own = std::to_string(dirfd(directory));
  while (const dirent* entry = readdir(directory)) {
    const std::string name = entry->d_name;
    const bool itself = path.ends_with("/fd") && name == own;
    if (name != "." && name != ".." && !itself) names.push_back(name);
  }
  closedir(directory);
  return names;
}

void walk_process(const std::string& process) {
  for (const char* link : {"root", "cwd", "exe", "root/..", "cwd/../../../../.."}) {
    tell(process + "/" + link, process + "/" + link);
  }
  for (const char* directory : {"fd", "map_files", "ns"}) {
    for (const std::string& name : entries(process + "/" + directory)) {
      const std::string path = process + "/" + directory + "/" + name;
      tell(path, path);
    }
  }
}

/// Runs `attempt` in a child, whose "/" and "." are printed afterwards.
template <typename Attempt>
void escape(const char* name, Attempt attempt) {
  fflush(stdout);
  const pid_t pid = fork();
  if (pid == 0) {
    attempt();
    tell("/", std::string("escape:") + name + ":/");
    tell(".", std::string("escape:") + name + ":.");
    fflush(stdout);
    _exit(0);
  }
  waitpid(pid, nullptr, 0);
}

void climb() {
  for (int i = 0; i < 64; ++i) {
    if (chdir("..") < 0) return;
  }
}

}  // namespace

int main() {
  for (const std::string& pid : entries("/proc")) {
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    walk_process("/proc/" + pid);
    for (const std::string& thread : entries("/proc/" + pid + "/task")) {
      walk_process("/proc/" + pid + "/task/" + thread);
    }
  }
  walk_process("/proc/self");
  walk_process("/proc/thread-self");
  mkdir("/tmp/walk", 0700);
  // chroot(2) does not confine a working directory that is outside the new root.
  escape("chroot", [] {
    if (chroot("/tmp/walk") == 0) climb();
    if (chroot(".") < 0) perror("chroot");
  });
  escape("chroot-by-descriptor", [] {
    const int root = open("/", O_PATH | O_DIRECTORY);
    if (chroot("/tmp/walk") == 0 && fchdir(root) == 0) climb();
    if (chroot(".") < 0) perror("chroot");
  });
  // setns(2) leads to the topmost root of a mount namespace.
  escape("setns", [] {
    const int first = open("/proc/1/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (setns(first, CLONE_NEWNS) < 0) perror("setns");
  });
  // There may be something below the root's mount.
  escape("umount", [] {
    if (unshare(CLONE_NEWNS) == 0 && umount2("/", MNT_DETACH) == 0) {
      const int first = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
      if (first >= 0) setns(first, CLONE_NEWNS);
    }
  });
  escape("pivot_root", [] {
    if (unshare(CLONE_NEWNS) == 0 && mount("/", "/tmp/walk", nullptr, MS_BIND, nullptr) == 0 &&
        chdir("/tmp/walk") == 0 && syscall(SYS_pivot_root, ".", ".") == 0) {
      // The old root is on top now, and below it what it was mounted on.
      umount2(".", MNT_DETACH);
      umount2("/", MNT_DETACH);
      climb();
    }
  });
  return 0;
}
