#pragma once

// The pair behind tests/vectors/delta/golden.skdelta and the seeds of the fuzz target `delta`: a
// tensor of every coding, all of them moved.

#include <string>
#include <vector>

#include "model_pair.hpp"

namespace skerry::test {

inline const std::vector<PairTensor>& golden_tensors() {
  static const std::vector<PairTensor> kTensors{{"f32", 0, {64}},
                                                {"f16", 1, {64, 7}},
                                                {"q4_0", 2, {256, 4}},
                                                {"q8_0", 8, {256, 4}},
                                                {"q4_k", 12, {256, 4}},
                                                {"q5_k", 13, {256, 4}},
                                                {"q6_k", 14, {256, 4}},
                                                {"bf16", 30, {64, 7}}};
  return kTensors;
}
inline std::string golden_base() {
  return model_bytes(golden_tensors());
}
inline std::string golden_target() {
  return model_bytes(golden_tensors(),
                     {"f32", "f16", "q4_0", "q8_0", "q4_k", "q5_k", "q6_k", "bf16"},
                     50,
                     "second");
}

}  // namespace skerry::test
