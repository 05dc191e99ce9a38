#include "seccomp/program.h"

#include <linux/bpf_common.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <limits>
#include <unordered_map>

#include "tare/error.h"

namespace tare {

namespace {

using NodeId = std::uint32_t;

/// An instruction whose successors are other nodes. A action has none, a jump has two.
struct Node {
  std::uint16_t code = 0;
  std::uint32_t k = 0;
  NodeId next = 0;       ///< of a jump: where its condition holds
  NodeId otherwise = 0;  ///< of a jump: where it does not
  bool operator==(const Node&) const = default;
};

struct NodeHash {
  std::size_t operator()(const Node& node) const noexcept {
    std::uint64_t hash = (std::uint64_t{node.code} << 32) | node.k;
    hash = (hash ^ (hash >> 29)) * 0x9e3779b97f4a7c15U + node.next;
    hash = (hash ^ (hash >> 31)) * 0x9e3779b97f4a7c15U + node.otherwise;
    return static_cast<std::size_t>(hash ^ (hash >> 32));
  }
};

constexpr std::uint16_t load_code = BPF_LD | BPF_W | BPF_ABS;
constexpr std::uint16_t and_code = BPF_ALU | BPF_AND | BPF_K;
constexpr std::uint16_t jump_code = BPF_JMP | BPF_JA;
constexpr std::uint16_t return_code = BPF_RET | BPF_K;

constexpr std::uint16_t condition_code(std::uint16_t operation) {
  return static_cast<std::uint16_t>(BPF_JMP | BPF_K | operation);
}

/// A program as an acyclic graph without duplicate nodes.
class Graph {
 public:
  NodeId action(std::uint32_t value) { return intern({return_code, value, 0, 0}); }

  NodeId load(std::uint32_t offset, NodeId next) {
    // A value that is neither tested nor masked need not be loaded.
    const std::uint16_t after = nodes_[next].code;
    if (after == return_code || after == load_code) {
      return next;
    }
    return intern({load_code, offset, next, 0});
  }

  NodeId mask(std::uint32_t bits, NodeId next) {
    const std::uint16_t after = nodes_[next].code;
    if (after == return_code || after == load_code) {
      return next;
    }
    return intern({and_code, bits, next, 0});
  }

  NodeId branch(std::uint16_t code, std::uint32_t k, NodeId next, NodeId otherwise) {
    return next == otherwise ? next : intern({code, k, next, otherwise});
  }

  const Node& operator[](NodeId id) const { return nodes_[id]; }
  std::size_t size() const { return nodes_.size(); }

 private:
  NodeId intern(const Node& node) {
    const auto [entry, added] = ids_.try_emplace(node, static_cast<NodeId>(nodes_.size()));
    if (added) {
      nodes_.push_back(node);
    }
    return entry->second;
  }

  std::vector<Node> nodes_;
  std::unordered_map<Node, NodeId, NodeHash> ids_;
};

[[noreturn]] void fail(const char* message) {
  throw Error(ErrorKind::system, std::string("linux.seccomp: libseccomp's program ") + message);
}

/// Evaluates an ABI's program as far as the number and the architecture decide; the rest becomes
/// nodes.
class Evaluator {
 public:
  Evaluator(const AbiProgram& program, Graph& graph)
      : program_(program),
        graph_(graph),
        known_(program.code.size()),
        known_for_(program.code.size(), 0) {}

  NodeId evaluate(std::uint32_t number) {
    number_ = number;
    ++evaluation_;
    return from(0, std::nullopt);
  }

 private:
  /// Returns the node of the program from instruction `at` on. `accumulator` is empty where its
  /// value is not known.
  NodeId from(std::size_t at, std::optional<std::uint32_t> accumulator) {
    while (accumulator || instruction(at).code == jump_code || instruction(at).code == load_code) {
      const sock_filter& now = instruction(at);
      if (now.code == load_code && !known_field(now.k)) {
        break;
      }
      if (now.code == return_code) {
        return graph_.action(now.k);
      }
      at = step(at, now, accumulator);
    }
    if (known_for_[at] != evaluation_) {
      known_[at] = remains(at);
      known_for_[at] = evaluation_;
    }
    return known_[at];
  }

  /// Executes one instruction with a known outcome and returns the index of the next one.
  std::size_t step(std::size_t at, const sock_filter& now,
                   std::optional<std::uint32_t>& accumulator) const {
    switch (now.code) {
      case load_code:
        accumulator = known_field(now.k);
        return at + 1;
      case jump_code:
        return at + 1 + now.k;
      case condition_code(BPF_JEQ):
        return at + 1 + (*accumulator == now.k ? now.jt : now.jf);
      case condition_code(BPF_JGT):
        return at + 1 + (*accumulator > now.k ? now.jt : now.jf);
      case condition_code(BPF_JGE):
        return at + 1 + (*accumulator >= now.k ? now.jt : now.jf);
      default:
        // With a masked number, actions could change at numbers that no comparison names.
        fail("has an unexpected instruction on the system call's number");
    }
  }

  /// Returns the node of an instruction whose outcome depends on arguments.
  NodeId remains(std::size_t at) {
    const sock_filter now = instruction(at);
    switch (now.code) {
      case return_code:
        return graph_.action(now.k);
      case load_code:
        return graph_.load(now.k, from(at + 1, std::nullopt));
      case and_code:
        return graph_.mask(now.k, from(at + 1, std::nullopt));
      case condition_code(BPF_JEQ):
      case condition_code(BPF_JGT):
      case condition_code(BPF_JGE):
      case condition_code(BPF_JSET): {
        const NodeId next = from(at + 1 + now.jt, std::nullopt);
        const NodeId otherwise = from(at + 1 + now.jf, std::nullopt);
        return graph_.branch(now.code, now.k, next, otherwise);
      }
      default:
        fail("has an unexpected instruction");
    }
  }

  std::optional<std::uint32_t> known_field(std::uint32_t offset) const {
    if (offset == offsetof(seccomp_data, nr)) {
      return number_;
    }
    if (offset == offsetof(seccomp_data, arch)) {
      return program_.audit_arch;
    }
    return std::nullopt;
  }

  const sock_filter& instruction(std::size_t at) const {
    if (at >= program_.code.size()) {
      fail("jumps past its end");
    }
    return program_.code[at];
  }

  const AbiProgram& program_;
  Graph& graph_;
  std::uint32_t number_ = 0;
  std::uint32_t evaluation_ = 0;
  // By instruction, for an unknown accumulator: the node, and the evaluation that it was found in.
  std::vector<NodeId> known_;
  std::vector<std::uint32_t> known_for_;
};

/// All numbers from `first` up to the next stretch's first are handled by `node`.
struct Stretch {
  std::uint32_t first;
  NodeId node;
};

/// Returns the numbers in [program.first_number, end] where the program's action may change.
std::vector<std::uint32_t> change_points(const AbiProgram& program, std::uint32_t end) {
  std::vector<std::uint32_t> points{program.first_number};
  const auto add = [&](std::uint64_t point) {
    if (point > program.first_number && point <= end) {
      points.push_back(static_cast<std::uint32_t>(point));
    }
  };
  for (const sock_filter& instruction : program.code) {
    if (BPF_CLASS(instruction.code) == BPF_JMP && instruction.code != jump_code) {
      add(instruction.k);
      add(std::uint64_t{instruction.k} + 1);
    }
  }
  for (const auto& [number, action] : program.actions) {
    add(number);
    add(std::uint64_t{number} + 1);
  }
  if (program.newest_number) {
    add(std::uint64_t{*program.newest_number} + 1);
    add(std::uint64_t{program.last_number} + 1);
  }
  std::sort(points.begin(), points.end());
  points.erase(std::unique(points.begin(), points.end()), points.end());
  return points;
}

std::vector<Stretch> stretches(const AbiProgram& program, std::uint32_t end, Graph& graph) {
  Evaluator evaluator(program, graph);
  std::vector<Stretch> found;
  for (const std::uint32_t number : change_points(program, end)) {
    const auto action = std::find_if(program.actions.begin(), program.actions.end(),
                                     [=](const auto& entry) { return entry.first == number; });
    NodeId node;
    if (action != program.actions.end()) {
      node = graph.action(action->second);
    } else if (program.newest_number && number > *program.newest_number &&
               number <= program.last_number) {
      node = graph.action(SECCOMP_RET_ERRNO | ENOSYS);
    } else {
      node = evaluator.evaluate(number);
    }
    if (found.empty() || found.back().node != node) {
      found.push_back({number, node});
    }
  }
  return found;
}

/// Makes a binary search for the accumulator's stretch among those in [begin, end).
NodeId search_tree(const Stretch* begin, const Stretch* end, Graph& graph) {
  if (end - begin == 1) {
    return begin->node;
  }
  if (end - begin == 3 && begin[0].node == begin[2].node && begin[2].first - begin[1].first == 1) {
    return graph.branch(condition_code(BPF_JEQ), begin[1].first, begin[1].node, begin[0].node);
  }
  const Stretch* middle = begin + (end - begin) / 2;
  const NodeId next = search_tree(middle, end, graph);
  const NodeId otherwise = search_tree(begin, middle, graph);
  return graph.branch(condition_code(BPF_JGE), middle->first, next, otherwise);
}

/// Lays nodes out as instructions, the last one first, so that every jump target has its offset.
class Layout {
 public:
  explicit Layout(const Graph& graph)
      : graph_(graph), offset_(graph.size(), none), near_(graph.size(), none) {}

  std::vector<sock_filter> lay_out(NodeId root) {
    emit(root);
    std::reverse(code_.begin(), code_.end());
    return std::move(code_);
  }

 private:
  static constexpr std::size_t none = std::numeric_limits<std::size_t>::max();

  void emit(NodeId id) {
    if (offset_[id] != none) {
      return;
    }
    const Node& node = graph_[id];
    std::uint8_t next = 0;
    std::uint8_t otherwise = 0;
    if (BPF_CLASS(node.code) == BPF_JMP) {
      emit(node.next);
      emit(node.otherwise);
      while (!in_reach(node.next) || !in_reach(node.otherwise)) {
        bring_near(in_reach(node.next) ? node.otherwise : node.next);
      }
      next = static_cast<std::uint8_t>(distance(near_[node.next]));
      otherwise = static_cast<std::uint8_t>(distance(near_[node.otherwise]));
    } else if (node.code != return_code) {
      emit(node.next);
      if (distance(near_[node.next]) != 0) {
        bring_near(node.next);
      }
    }
    offset_[id] = near_[id] = code_.size();
    code_.push_back({node.code, next, otherwise, node.k});
  }

  /// Returns the number of instructions between the next one to be laid out and the one at
  /// `offset`.
  std::size_t distance(std::size_t offset) const { return code_.size() - offset - 1; }
  /// Conditional jumps have an eight-bit distance.
  bool in_reach(NodeId id) const { return distance(near_[id]) <= 255; }

  /// Puts a copy of an action, or a long jump to any other node, directly before the instructions
  /// that are laid out.
  void bring_near(NodeId id) {
    const Node& node = graph_[id];
    if (node.code == return_code) {
      code_.push_back({node.code, 0, 0, node.k});
    } else {
      code_.push_back({jump_code, 0, 0, static_cast<std::uint32_t>(distance(offset_[id]))});
    }
    near_[id] = code_.size() - 1;
  }

  const Graph& graph_;
  std::vector<sock_filter> code_;  ///< in reverse
  // By node: the index in code_ of the node itself, and of the nearest instruction that leads to
  // it.
  std::vector<std::size_t> offset_;
  std::vector<std::size_t> near_;
};

/// Returns the search tree over the numbers of all programs for one architecture.
NodeId architecture_tree(const std::vector<const AbiProgram*>& programs, Graph& graph) {
  std::vector<Stretch> all;
  for (std::size_t i = 0; i < programs.size(); ++i) {
    const std::uint32_t end = i + 1 < programs.size() ? programs[i + 1]->first_number - 1
                                                      : std::numeric_limits<std::uint32_t>::max();
    for (Stretch stretch : stretches(*programs[i], end, graph)) {
      // If the first ABI's numbers do not begin with 0, it handles the lower ones as well.
      all.push_back({all.empty() ? 0 : stretch.first, stretch.node});
    }
  }
  const NodeId tree = search_tree(all.data(), all.data() + all.size(), graph);
  return graph.load(offsetof(seccomp_data, nr), tree);
}

}  // namespace

std::string join_programs(std::vector<AbiProgram> programs, std::uint32_t other_arch_action) {
  std::vector<std::uint32_t> archs;
  for (const AbiProgram& program : programs) {
    if (std::find(archs.begin(), archs.end(), program.audit_arch) == archs.end()) {
      archs.push_back(program.audit_arch);
    }
  }
  std::sort(programs.begin(), programs.end(), [](const AbiProgram& a, const AbiProgram& b) {
    return a.first_number < b.first_number;
  });

  Graph graph;
  NodeId root = graph.action(other_arch_action);
  for (auto arch = archs.rbegin(); arch != archs.rend(); ++arch) {
    std::vector<const AbiProgram*> same;
    for (const AbiProgram& program : programs) {
      if (program.audit_arch == *arch) {
        same.push_back(&program);
      }
    }
    root = graph.branch(condition_code(BPF_JEQ), *arch, architecture_tree(same, graph), root);
  }
  root = graph.load(offsetof(seccomp_data, arch), root);

  const std::vector<sock_filter> code = Layout(graph).lay_out(root);
  if (code.size() > BPF_MAXINSNS) {
    throw Error(ErrorKind::invalid_config,
                "linux.seccomp: the filter has " + std::to_string(code.size()) +
                    " instructions; the kernel's limit is " + std::to_string(BPF_MAXINSNS) +
                    ": leave out rules or architectures")
        .with_path("linux.seccomp");
  }
  return std::string(reinterpret_cast<const char*>(code.data()), code.size() * sizeof(sock_filter));
}

}  // namespace tare
