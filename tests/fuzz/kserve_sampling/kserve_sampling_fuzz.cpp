// The JSON of `sampling_parameters` in a KServe request for text. What is taken is within the
// limits that the scheduler relies on.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "grpc/kserve_sampling.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text{reinterpret_cast<const char*>(data), size};
  const auto parsed = skerry::agent::parse_sampling_parameters(text);
  if (parsed && (parsed->max_tokens == 0 || !skerry::runtime::check_sampling(parsed->sampling))) {
    std::abort();
  }
  return 0;
}
