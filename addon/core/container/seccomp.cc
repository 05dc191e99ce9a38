// The container's seccomp filter, and the agent that answers its notifications; see
// seccomp_unotify(2) and config-linux.md "The Container Process State".
#include "container/impl.h"
#include "json/json.h"
#include "tare/unix_socket.h"

namespace tare {

SeccompFilter container_filter(const std::optional<Seccomp>& profile, const Runtime& runtime) {
  if (!profile) {
    return {};
  }
  SeccompFilter filter = compile_seccomp(*profile, seccomp_cache_dir(runtime));
  if (runtime.debug) {
    runtime.debug("seccomp filter flags: " + std::to_string(filter.flags));
  }
  return filter;
}

SeccompAgent::SeccompAgent(const Spec& spec) {
  const std::optional<Seccomp>& seccomp = spec.linux_.seccomp;
  if (seccomp.has_value() && seccomp_needs_agent(*seccomp)) {
    metadata_ = &seccomp->listener_metadata;
    socket_ = connect_fd_socket(
        seccomp->listener_path,
        "config.json: linux.seccomp.listenerPath: failed to connect with seccomp agent");
  }
}

void SeccompAgent::serve(InitProcess& init, const ContainerState& state) {
  if (!socket_) {
    return;
  }
  const int listener = init.await_listener();
  json::Writer writer;
  writer.begin_object();
  writer.key("ociVersion").string(state.oci_version);
  writer.key("fds").begin_array().string("seccompFd").end_array();
  writer.key("pid").number(init.pid());
  if (!metadata_->empty()) {
    writer.key("metadata").string(*metadata_);
  }
  writer.key("state");
  write_state(writer, state, false);
  writer.end_object();
  {
    const ErrorContext context("send the container process state to the seccomp agent");
    send_fd(socket_.get(), listener, writer.take());
  }
  // Each connection takes one state.
  socket_.reset();
  init.answer(wire::WaitTag::listener);
}

}  // namespace tare
