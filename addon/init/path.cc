// Paths below the container's root. The kernel resolves them (openat2(2)), so that neither a
// hostile image nor a racing container can lead them outside. Missing components are created one at
// a time, on fds.
#include <linux/openat2.h>
#include <linux/stat.h>

#include "init.h"

namespace init {

using namespace tare::wire;

long openat2(int at, const char* path, std::uint64_t flags, std::uint64_t resolve) {
  constexpr int max_attempts = 1000;
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = resolve;
  long fd = -EAGAIN;
  for (int i = 0; i < max_attempts && (fd == -EAGAIN || fd == -EINTR); ++i) {
    fd = sys::call(__NR_openat2, at, path, &how, sizeof how);
  }
  return fd;
}

namespace {

constexpr int max_links = 40;  // the kernel's own limit

// A path under construction.
struct Walk {
  char path[path_max] = {};
  std::size_t size = 0;

  bool assign(const char* text) {
    size = 0;
    return append(text);
  }
  bool append(const char* text) {
    const std::size_t more = sys::length(text);
    if (size + more + 1 > sizeof path) {
      return false;
    }
    memcpy(path + size, text, more + 1);
    size += more;
    return true;
  }
};

std::size_t component_end(const char* path, std::size_t begin) {
  while (path[begin] == '/') {
    ++begin;
  }
  while (path[begin] != '\0' && path[begin] != '/') {
    ++begin;
  }
  return begin;
}

bool only_slashes(const char* text) {
  while (*text == '/') {
    ++text;
  }
  return *text == '\0';
}

// `walk.path[begin, end)` is a dangling symlink in directory `parent`: replaces it by its target.
long follow_dangling(Walk& walk, int parent, const char* name, std::size_t begin, std::size_t end) {
  static char target[path_max];
  static char rest[path_max];
  const long got = sys::call(__NR_readlinkat, parent, name, target, sizeof target - 1);
  if (got < 0) {
    return got;
  }
  target[got] = '\0';
  memcpy(rest, walk.path + end, walk.size - end + 1);
  walk.size = target[0] == '/' ? 0 : begin;
  walk.path[walk.size] = '\0';
  if ((walk.size > 0 && !walk.append("/")) || !walk.append(target) || !walk.append(rest)) {
    return -ENAMETOOLONG;
  }
  return 0;
}

// The system call that make_below's result comes from.
Step last_step = Step::openat2;

long make_component(int parent, const char* name, bool directory) {
  const long made = directory ? sys::call(__NR_mkdirat, parent, name, 0755)
                              : sys::call(__NR_mknodat, parent, name, S_IFREG | 0644, 0);
  if (made < 0) {
    last_step = directory ? Step::mkdir : Step::mknod;
    return made;
  }
  return openat2(parent, name, O_PATH | O_NOFOLLOW | (directory ? std::uint64_t{O_DIRECTORY} : 0),
                 RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

// Splits `path` into the directory that holds its last component, and that component.
long split(const char* path, char* directory, char* name, std::size_t size) {
  std::size_t end = sys::length(path);
  while (end > 0 && path[end - 1] == '/') {
    --end;
  }
  std::size_t begin = end;
  while (begin > 0 && path[begin - 1] != '/') {
    --begin;
  }
  if (end == begin || end - begin >= size || begin >= path_max) {
    return -ENAMETOOLONG;
  }
  memcpy(name, path + begin, end - begin);
  name[end - begin] = '\0';
  if (sys::equal(name, ".") || sys::equal(name, "..")) {
    return -EINVAL;
  }
  memcpy(directory, path, begin);
  directory[begin] = '\0';
  return 0;
}

// The common case of make_below: only the last component is missing. After ENOENT or EEXIST the
// caller walks the whole path.
long make_in_parent(const Context& context, const char* path, bool directory) {
  static char parent_path[path_max];
  static char name[256];
  if (split(path, parent_path, name, sizeof name) < 0) {
    return -ENOENT;
  }
  Handle parent(open_below(context, parent_path, O_PATH | O_DIRECTORY));
  return parent.valid() ? make_component(parent.get(), name, directory) : parent.get();
}

}  // namespace

long open_below(const Context& context, const char* path, std::uint64_t flags) {
  return openat2(context.root, path[0] == '\0' ? "/" : path, flags,
                 RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

// ".." of a root directory is that directory itself, but the lookup crosses the mounts on it as in
// any path.
long open_covering(int directory) {
  return openat2(directory, "..", O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

long open_masked(const Context& context, const Op& op) {
  const int mount = (op.flags & op_in_proc) != 0  ? context.proc_mount
                    : (op.flags & op_in_sys) != 0 ? context.sys_mount
                                                  : -1;
  if (mount < 0) {
    return open_below(context, context.text(op, 1), O_PATH);
  }
  return openat2(mount, context.text(op, 0), O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

Step make_step() { return last_step; }

namespace {

// Copies the component that ends before `end` to `name`.
bool copy_component(const Walk& walk, std::size_t begin, std::size_t end, char* name,
                    std::size_t size) {
  while (walk.path[begin] == '/') {
    ++begin;
  }
  if (end - begin >= size) {
    return false;
  }
  memcpy(name, walk.path + begin, end - begin);
  name[end - begin] = '\0';
  return true;
}

// Opens the path component by component, and creates those that are missing. Sets `restart` where
// the walk must begin again: a component was a dangling symlink, replaced in the path by its
// target, or another process has just created it. The result has no meaning then.
long walk_once(const Context& context, Walk& walk, bool directory, bool& restart) {
  static char name[256];
  Handle parent(open_below(context, "/", O_PATH | O_DIRECTORY));
  for (std::size_t begin = 0;;) {
    const std::size_t end = component_end(walk.path, begin);
    const bool last = only_slashes(walk.path + end);
    const char keep = walk.path[end];
    walk.path[end] = '\0';
    long next = open_below(context, walk.path, O_PATH | (last ? 0 : O_DIRECTORY));
    walk.path[end] = keep;
    if (next == -ENOENT) {
      if (!copy_component(walk, begin, end, name, sizeof name)) {
        return -ENAMETOOLONG;
      }
      next = make_component(parent.get(), name, directory || !last);
    }
    if (next == -EEXIST) {
      last_step = Step::openat2;
      next = follow_dangling(walk, parent.get(), name, begin, end);
      // EINVAL: not a symlink, so another process has created it in between; look again.
      restart = next >= 0 || next == -EINVAL;
      return restart ? -ENOENT : next;
    }
    if (next < 0 || last) {
      return next;
    }
    parent.reset(next);
    begin = end;
  }
}

}  // namespace

long make_below(Context& context, const char* path, bool directory, bool& followed) {
  last_step = Step::openat2;
  long found = openat2(context.root, path[0] == '\0' ? "/" : path, O_PATH,
                       RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
  followed = found == -ELOOP;
  if (followed) {
    found = open_below(context, path, O_PATH);
  }
  if (found != -ENOENT) {
    return found;
  }
  found = make_in_parent(context, path, directory);
  if (found != -ENOENT && found != -EEXIST) {
    return found;
  }
  last_step = Step::openat2;
  static Walk walk;
  if (!walk.assign(path)) {
    return -ENAMETOOLONG;
  }
  followed = true;
  for (int links = 0; links <= max_links; ++links) {
    bool restart = false;
    const long result = walk_once(context, walk, directory, restart);
    if (!restart) {
      return result;
    }
  }
  return -ELOOP;
}

long make_below(Context& context, const char* path, bool directory) {
  bool followed = false;
  return make_below(context, path, directory, followed);
}

long open_parent(Context& context, const char* path, char* name, std::size_t size) {
  static char directory[path_max];
  last_step = Step::openat2;
  if (const long result = split(path, directory, name, size); result < 0) {
    return result;
  }
  // Cached, as about a dozen nodes and links of /dev follow each other without a mount in between.
  if (context.parent < 0 || !sys::equal(directory, context.parent_path)) {
    const long fd = make_below(context, directory[0] == '\0' ? "/" : directory, true);
    if (fd < 0) {
      return fd;
    }
    forget_parent(context);
    context.parent = static_cast<int>(fd);
    memcpy(context.parent_path, directory, sys::length(directory) + 1);
  }
  return context.parent;
}

void forget_parent(Context& context) {
  if (context.parent >= 0) {
    sys::call(__NR_close, context.parent);
  }
  context.parent = -1;
}

}  // namespace init
