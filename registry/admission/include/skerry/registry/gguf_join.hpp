#pragma once

// The parts of a split GGUF file ("…-00001-of-00003.gguf") as the one file that they are: the keys
// of the first part without the split's own, the tensors of all. Engines are handed one descriptor,
// so importers store the joined file. Reads headers only; the weights stay where they are until
// somebody reads them.

#include <memory>
#include <vector>

#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"

namespace skerry::registry {

// `parts` in order; the result owns them, is read-only and has no descriptor. kModelFormat if they
// are not the parts of one file: another count or number than their keys say, other tensors than
// announced. What they hold is checked by `check_gguf` on the result, not here. Blocks; the
// result's `read_at` is thread-safe.
Result<std::unique_ptr<File>> join_gguf(std::vector<std::unique_ptr<File>> parts);

}  // namespace skerry::registry
