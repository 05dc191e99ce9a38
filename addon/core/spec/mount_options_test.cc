#include "spec/mount_options.h"

#include <doctest/doctest.h>
#include <linux/mount.h>
#include <sys/mount.h>

namespace {

tare::MountOptions options(std::vector<std::string> words, const std::string& type = "tmpfs") {
  tare::Mount mount;
  mount.type = type;
  mount.options = std::move(words);
  return tare::read_mount_options(mount);
}

using Data = std::vector<std::pair<std::string, std::string>>;

}  // namespace

TEST_CASE("of contrary options the last one is in effect") {
  const tare::MountOptions last_ro = options({"rw", "nosuid", "ro"});
  CHECK(last_ro.set == (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID));
  CHECK(last_ro.clear == 0);
  const tare::MountOptions last_rw = options({"ro", "rw"});
  CHECK(last_rw.set == 0);
  CHECK(last_rw.clear == MOUNT_ATTR_RDONLY);
}

TEST_CASE("an atime option replaces the whole field") {
  const tare::MountOptions strict = options({"noatime", "strictatime"});
  CHECK(strict.set == MOUNT_ATTR_STRICTATIME);
  CHECK(strict.clear == MOUNT_ATTR__ATIME);
  const tare::MountOptions relative = options({"noatime", "relatime"});
  CHECK(relative.set == 0);
  CHECK(relative.clear == MOUNT_ATTR__ATIME);
  CHECK(relative.names_atime);
  CHECK_FALSE(options({"ro"}).names_atime);
}

TEST_CASE("a leading r makes an attribute recursive, and only that") {
  const tare::MountOptions recursive = options({"rro", "rnosuid", "noexec"});
  CHECK(recursive.recursive_set == (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID));
  CHECK(recursive.set == MOUNT_ATTR_NOEXEC);
  CHECK(options({"rsync", "dirsync"}).data == Data{{"sync", ""}, {"dirsync", ""}});
}

TEST_CASE("binds") {
  CHECK(options({}, "bind").bind);
  CHECK_FALSE(options({"bind"}).recursive);
  CHECK(options({"rbind"}).bind);
  CHECK(options({"rbind"}).recursive);
  CHECK(options({"src-within=/a=b"}).source_within == "/a=b");
  CHECK(options({"ridmap"}).id_mapped_recursively);
}

TEST_CASE("unknown options go to the file system") {
  CHECK(options({"size=1k", "mode=", "huge", "", "a=b=c"}).data ==
        Data{{"size", "1k"}, {"mode", ""}, {"huge", ""}, {"a", "b=c"}});
  CHECK(options({"defaults", "loud", "silent"}).data.empty());
  CHECK_FALSE(tare::is_mount_option("size"));
}

TEST_CASE("propagation, in both directions") {
  CHECK(options({"shared", "rslave"}).propagation == (MS_SLAVE | MS_REC));
  CHECK_FALSE(tare::propagation_flags("ro").has_value());
  for (const char* const word : {"private", "rprivate", "shared", "rshared", "slave", "rslave",
                                 "unbindable", "runbindable"}) {
    CHECK(tare::propagation_name(tare::propagation_flags(word).value()) == word);
  }
}

TEST_CASE("names of attributes are the options that set them") {
  struct Case {
    std::vector<std::string> words;
    bool recursive;
    std::string names;
  };
  for (const Case& each :
       {Case{{"noexec", "nosuid", "ro"}, false, "noexec,nosuid,ro"},
        Case{{"rnodev", "rro"}, true, "rnodev,rro"}, Case{{"relatime"}, false, "relatime"},
        Case{{"noatime", "rw"}, false, "noatime,rw"}}) {
    const tare::MountOptions read = options(each.words);
    CHECK(tare::attribute_names(each.recursive ? read.recursive_set : read.set,
                                each.recursive ? read.recursive_clear : read.clear,
                                each.recursive) == each.names);
  }
}
