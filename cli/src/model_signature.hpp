#pragma once

// What `skerry model sign` and `skerry model verify` share: where a signature lies and what is left
// out of it.

#include <cstddef>
#include <string>
#include <vector>

#include "skerry/common/result.hpp"

namespace skerry::cli {

inline constexpr std::size_t kMaxSignatureKeyFile = 256U << 10U;

// "<model>/model.sig" for a folder, "<model>.sig" beside a file.
std::string default_signature(const std::string& model);

// `paths` relative to the model, and the signature itself where it lies in it. kInvalidArgument for
// a path outside the model.
Result<std::vector<std::string>> ignored_in_model(const std::string& model,
                                                  const std::vector<std::string>& paths,
                                                  const std::string& signature);

}  // namespace skerry::cli
