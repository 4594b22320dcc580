#pragma once

// The JSON object `sampling_parameters` that Triton's vLLM backend takes, as our parameters. Pure;
// a fuzz target feeds it.

#include <cstdint>
#include <string>
#include <vector>

#include "skerry/common/result.hpp"
#include "skerry/runtime/request.hpp"

namespace skerry::agent {

// The defaults are vLLM's: temperature 1, at most 16 tokens.
struct KserveSampling {
  runtime::SamplingParams sampling;
  std::uint32_t max_tokens = 16;
  std::vector<std::string> stop;
};

// kInvalidArgument names the parameter that is wrong, or not offered here. At most 64 KiB.
Result<KserveSampling> parse_sampling_parameters(const std::string& text);

}  // namespace skerry::agent
