// The device filter of the kernel-floor program.
#pragma once

#include <linux/bpf.h>

#include "bare.h"

namespace {

constexpr bpf_insn instruction(int code, int to, int from, int jump, U64 number) {
  return {static_cast<__u8>(code), static_cast<__u8>(to & 15), static_cast<__u8>(from & 15),
          static_cast<__s16>(jump), static_cast<__s32>(number)};
}

/// runc's default device rules: mknod of anything; read and write of 1:3,5,7,8,9, 5:0,2, 10:200 and
/// 136:*. Bit major * 10 + minor of the table is a device with a major up to 5 and a minor up to 9.
/// Returns the program's descriptor, or negative errno.
inline Word load_device_filter() {
  constexpr U64 kTable =
      1ull << 13 | 1ull << 15 | 1ull << 17 | 1ull << 18 | 1ull << 19 | 1ull << 50 | 1ull << 52;
  constexpr int kLoad = BPF_LDX | BPF_MEM | BPF_W, kMove = BPF_ALU64 | BPF_MOV,
                kJump = BPF_JMP | BPF_K, kAlu = BPF_ALU64;
  static const bpf_insn program[] = {
      instruction(kMove | BPF_K, 0, 0, 0, 1),
      instruction(kLoad, 2, 1, 0, 0),  // access << 16 | type
      instruction(kMove | BPF_X, 5, 2, 0, 0),
      instruction(kAlu | BPF_AND, 5, 0, 0, (BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE) << 16),
      instruction(kJump | BPF_JEQ, 5, 0, 17, 0),
      instruction(kAlu | BPF_AND, 2, 0, 0, 0xffff),
      instruction(kLoad, 3, 1, 4, 0),  // major
      instruction(kLoad, 4, 1, 8, 0),  // minor
      instruction(kJump | BPF_JNE, 2, 0, 14, BPF_DEVCG_DEV_CHAR),
      instruction(kJump | BPF_JEQ, 3, 0, 12, 136),
      instruction(kAlu | BPF_LSH, 3, 0, 0, 20),
      instruction(kAlu | BPF_OR | BPF_X, 3, 4, 0, 0),
      instruction(kJump | BPF_JEQ, 3, 0, 9, 10 << 20 | 200),
      instruction(kAlu | BPF_RSH, 3, 0, 0, 20),
      instruction(kJump | BPF_JGT, 4, 0, 8, 9),
      instruction(kJump | BPF_JGT, 3, 0, 7, 5),
      instruction(kAlu | BPF_MUL, 3, 0, 0, 10),
      instruction(kAlu | BPF_ADD | BPF_X, 3, 4, 0, 0),
      instruction(BPF_LD | BPF_DW | BPF_IMM, 0, 0, 0, kTable & 0xffffffff),
      instruction(0, 0, 0, 0, kTable >> 32),
      instruction(kAlu | BPF_RSH | BPF_X, 0, 3, 0, 0),
      instruction(kAlu | BPF_AND, 0, 0, 0, 1),
      instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
      instruction(kMove | BPF_K, 0, 0, 0, 0),
      instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
  };
  bpf_attr load = {};
  load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  load.insns = static_cast<__u64>(sys::word(program));
  load.insn_cnt = sizeof program / sizeof program[0];
  load.license = static_cast<__u64>(sys::word("GPL"));
  return sys::call(__NR_bpf, BPF_PROG_LOAD, &load, sizeof load);
}

}  // namespace
