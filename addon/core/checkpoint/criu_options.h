// A request to criu(8) in the format of its RPC.
#pragma once

#include <criu.pb-c.h>

#include <deque>
#include <vector>

#include "checkpoint/criu.h"

namespace tare {

Criu__Type criu_type(CriuVerb verb);

/// The options of a request in protobuf-c's format. Refers to the request's strings.
class CriuRequestOptions {
 public:
  explicit CriuRequestOptions(const CriuRequest& request);
  CriuRequestOptions(const CriuRequestOptions&) = delete;
  CriuRequestOptions& operator=(const CriuRequestOptions&) = delete;

  Criu__Options* get() { return &options_; }

 private:
  void add_dump(const CriuRequest& request);
  void add_restore(const CriuRequest& request);

  Criu__Options options_;
  Criu__PageServer page_server_;
  Criu__CgroupRoot cgroup_root_;
  Criu__CgroupRoot* cgroup_root_list_ = nullptr;
  std::vector<char*> externals_;
  std::deque<Criu__InheritedFd> inherited_;
  std::vector<Criu__InheritedFd*> inherited_list_;
  std::deque<Criu__JoinedNamespace> joined_;
  std::vector<Criu__JoinedNamespace*> joined_list_;
};

}  // namespace tare
