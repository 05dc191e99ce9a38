// /dev: the spec's default devices, the config's own, the links, and the console.
#include <linux/kdev_t.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>

#include "plan/builder.h"
#include "tare/fd.h"

namespace tare {

using wire::OpCode;

namespace {

struct DefaultDevice {
  const char* path;
  unsigned major;
  unsigned minor;
};

// runtime-spec config-linux.md "Default Devices".
constexpr auto default_devices = std::to_array<DefaultDevice>({
    {"/dev/null", 1, 3},
    {"/dev/zero", 1, 5},
    {"/dev/full", 1, 7},
    {"/dev/random", 1, 8},
    {"/dev/urandom", 1, 9},
    {"/dev/tty", 5, 0},
});

// config-linux.md "Default Devices": these links exist in every container.
constexpr std::array<std::array<const char*, 2>, 5> default_links = {{
    {"/proc/self/fd", "/dev/fd"},
    {"/proc/self/fd/0", "/dev/stdin"},
    {"/proc/self/fd/1", "/dev/stdout"},
    {"/proc/self/fd/2", "/dev/stderr"},
    {"/proc/kcore", "/dev/core"},
}};

// A /dev that is bind-mounted is for the caller to fill.
bool dev_is_ours(const Spec& spec) {
  return std::ranges::none_of(spec.mounts, [](const Mount& mount) {
    const bool bind =
        mount.type == "bind" || std::ranges::any_of(mount.options, [](const std::string& option) {
          return option == "bind" || option == "rbind";
        });
    return bind && absolute_path(mount.destination) == "/dev";
  });
}

void add_bound_device(PlanBuilder& builder, const Device& device, const std::string& origin) {
  const auto node = builder.host().device_nodes.find(device.path);
  const std::string& path = node == builder.host().device_nodes.end() ? device.path : node->second;
  const std::uint32_t source = builder.text(path);
  const std::uint32_t destination = builder.text(device.path);
  const bool opened = host_opens_sources(builder);
  const int fd = opened ? builder.source({PassedKind::detached_mount, path, 0, origin}, false) : -1;
  wire::Op& op = builder.add(OpCode::bind_device, origin);
  op.flags = wire::op_make_target;
  op.str[0] = source;
  op.str[1] = destination;
  op.a = type_bits(device.type);
  op.b = device_number(device);
  if (opened) {
    op.fd = fd;
    op.flags |= wire::op_source_is_fd;
  }
}

void add_device(PlanBuilder& builder, const Device& device, const std::string& origin) {
  if (needs_host_node(device, builder.spec(), builder.host())) {
    add_bound_device(builder, device, origin);
    return;
  }
  const std::uint32_t path = builder.text(device.path);
  wire::Op& op = builder.add(OpCode::make_device, origin);
  op.str[1] = path;
  op.a = type_bits(device.type) | device.file_mode.value_or(0666);
  op.b = device_number(device);
  op.c = (std::uint64_t{device.uid.value_or(0)} << 32) | device.gid.value_or(0);
}

}  // namespace

mode_t type_bits(char type) {
  switch (type) {
    case 'b':
      return S_IFBLK;
    case 'p':
      return S_IFIFO;
    default:
      return S_IFCHR;
  }
}

dev_t device_number(const Device& device) {
  return device.type == 'p'
             ? 0
             : makedev(static_cast<unsigned>(device.major), static_cast<unsigned>(device.minor));
}

bool needs_host_node(const Device& device, const Spec& spec, const Host& host) {
  const bool is_whiteout = type_bits(device.type) == S_IFCHR && device_number(device) == 0;
  return device.type != 'p' && !is_whiteout &&
         (spec.has_namespace(NamespaceType::user) || host.in_user_namespace);
}

void add_devices(PlanBuilder& builder) {
  const Spec& spec = builder.spec();
  const std::vector<Device>& listed = spec.linux_.devices;
  if (!dev_is_ours(spec)) {
    return;
  }
  for (const DefaultDevice& device : default_devices) {
    const bool overridden = std::ranges::any_of(
        listed, [&device](const Device& other) { return other.path == device.path; });
    if (!overridden) {
      Device node;
      node.path = device.path;
      node.major = device.major;
      node.minor = device.minor;
      add_device(builder, node, "default device");
    }
  }
  for (std::size_t i = 0; i < listed.size(); ++i) {
    add_device(builder, listed[i], "linux.devices[" + std::to_string(i) + "]");
  }
  const std::uint32_t ptmx = builder.text("/dev/ptmx");
  builder.add(OpCode::make_ptmx, "default device").str[1] = ptmx;
  for (const auto& [target, path] : default_links) {
    const std::uint32_t target_text = builder.text(target);
    const std::uint32_t path_text = builder.text(path);
    wire::Op& op = builder.add(OpCode::make_symlink, "default link");
    op.str[0] = target_text;
    op.str[1] = path_text;
  }
}

void add_console(PlanBuilder& builder, const Process& process, bool bind) {
  const std::uint32_t devpts = builder.text("/dev/pts");
  wire::Op& op = builder.add(OpCode::console, builder.process_origin("terminal"));
  op.str[1] = devpts;
  if (process.console_size.has_value()) {
    op.a = process.console_size->height;
    op.b = process.console_size->width;
  }
  op.c = process.user.uid;
  op.d = builder.forks_into_pidns() || builder.has_reaper() ? 1 : 0;
  op.flags = bind ? wire::op_bind_console : 0;
  builder.set_console();
}

}  // namespace tare
