// HOME for a process whose environment does not set it: the home directory that the container's
// /etc/passwd (passwd(5)) has for its uid.
#include <linux/openat2.h>
#include <linux/stat.h>

#include "file_status.h"
#include "init.h"

namespace init {
namespace {

constexpr int uid_field = 2;
constexpr int home_field = 5;
constexpr std::size_t longest_file = std::size_t{1} << 20;

// Parses passwd(5) as a stream: "name:password:uid:gid:comment:home:shell".
class Search {
 public:
  Search(std::uint64_t uid, char* home, std::size_t size) : uid_(uid), home_(home), size_(size) {}

  // Returns true once the home directory has been found.
  bool take(char c) {
    if (c == '\n') {
      const bool found = matches_ && field_ >= home_field && length_ > 0;
      if (!found) {
        *this = Search(uid_, home_, size_);
      }
      return found;
    }
    if (c == ':') {
      if (field_ == uid_field) {
        matches_ = digits_ > 0 && number_ == uid_;
      }
      ++field_;
    } else if (field_ == uid_field) {
      // A uid field that is not a number matches no uid.
      digits_ = c >= '0' && c <= '9' && digits_ >= 0 && digits_ < 10 ? digits_ + 1 : -1;
      number_ = number_ * 10 + static_cast<std::uint64_t>(c - '0');
    } else if (field_ == home_field && matches_) {
      if (length_ + 1 >= size_) {
        matches_ = false;
        return false;
      }
      home_[length_++] = c;
      home_[length_] = '\0';
    }
    return false;
  }

 private:
  std::uint64_t uid_;
  char* home_;
  std::size_t size_;
  std::size_t length_ = 0;
  std::uint64_t number_ = 0;
  int field_ = 0;
  int digits_ = 0;
  bool matches_ = false;
};

bool search_file(int file, Search& search) {
  static char buffer[4096];
  for (std::size_t total = 0; total < longest_file;) {
    const long got = sys::call(__NR_read, file, buffer, sizeof buffer);
    if (got <= 0) {
      return search.take('\n');  // the last line may lack its newline
    }
    for (long i = 0; i < got; ++i) {
      if (search.take(buffer[i])) {
        return true;
      }
    }
    total += static_cast<std::size_t>(got);
  }
  return false;
}

}  // namespace

Outcome do_home_directory(Context& context, const Op& op) {
  constexpr char name[] = "HOME=";
  constexpr std::size_t name_size = sizeof name - 1;
  memcpy(context.home, name, sizeof name);
  char* home = context.home + name_size;
  // The image controls this file: it may be a FIFO, or a link to a file that is not the image's.
  const long file =
      openat2(AT_FDCWD, "/etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY, RESOLVE_NO_MAGICLINKS);
  FileStatus status;
  const bool regular = file >= 0 && stat_fd(static_cast<int>(file), status) >= 0 &&
                       (status.mode & S_IFMT) == S_IFREG;
  Search search(op.a, home, sizeof context.home - name_size);
  if (!regular || !search_file(static_cast<int>(file), search)) {
    memcpy(home, "/", 2);
  }
  if (file >= 0) {
    sys::call(__NR_close, file);
  }
  return ok;
}

}  // namespace init
