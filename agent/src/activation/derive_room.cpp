#include "derive_room.hpp"

#include <algorithm>
#include <string>

#include "skerry/registry/gguf_layout.hpp"

namespace skerry::agent {
namespace {

// The program, the engine's libraries, its threads.
constexpr std::uint64_t kWorkerMemory = 64U << 20U;
// An element as a float, and its place in the buffer for the result.
constexpr std::uint64_t kBytesPerElement = 8;
// What an engine makes of the names, vocabulary and keys of a file, times their bytes.
constexpr std::uint64_t kHeaderShare = 4;
constexpr std::uint64_t kWholeFileShare = 4;
// What the engine wrote, and the blob.
constexpr std::uint64_t kCopiesOnDisk = 2;

std::uint64_t engine_memory(File& source, std::uint64_t size) {
  const auto layout = registry::read_gguf_layout(source);
  if (!layout) {
    return size * kWholeFileShare;
  }
  std::uint64_t largest = 0;
  for (const registry::GgufTensor& tensor : layout->tensors) {
    std::uint64_t elements = 1;
    for (const std::uint64_t extent : tensor.dims) {
      elements *= extent;
    }
    largest = std::max(largest, elements * kBytesPerElement + tensor.bytes);
  }
  return largest + layout->data_offset * kHeaderShare;
}

std::string mebibytes(std::uint64_t bytes) {
  return std::to_string((bytes + (1U << 20U) - 1) >> 20U) + " MiB";
}

}  // namespace

DeriveNeed derive_need(File& source,
                       std::uint64_t source_size,
                       std::uint64_t wanted,
                       DeriveCopies in_memory) {
  DeriveNeed need;
  need.memory = kWorkerMemory + engine_memory(source, source_size) +
                (in_memory.source ? source_size : 0) + (in_memory.output ? wanted : 0);
  need.disk = in_memory.output ? wanted : wanted * kCopiesOnDisk;
  return need;
}

Result<void> check_room(const DeriveNeed& need, const registry::DeviceProfile& machine) {
  if (machine.disk_free < need.disk) {
    return Error{Error::Code::kNoSpace,
                 "making it here takes " + mebibytes(need.disk) + " of disk for a moment, " +
                     mebibytes(machine.disk_free) + " are free"};
  }
  if (machine.memory_available != 0 && machine.memory_available < need.memory) {
    return Error{Error::Code::kOutOfMemory,
                 "making it here takes about " + mebibytes(need.memory) + " of memory, " +
                     mebibytes(machine.memory_available) +
                     " are available (MemAvailable, and the limit of the control group)"};
  }
  return {};
}

}  // namespace skerry::agent
