// Any bytes as a delta for a fixed base. What opens is read whole: it may fail or give anything,
// but exactly as many bytes as it says, in bounded memory, and the same whatever the number of
// threads.

#include <cstdlib>
#include <string>

#include "skerry/registry/delta.hpp"

#include "delta_golden.hpp"
#include "memory_file.hpp"

namespace {

using namespace skerry;
using namespace skerry::registry;

constexpr std::uint64_t kLargest = 8U << 20U;

class HashSink final : public ByteSink {
 public:
  Result<void> write(ByteView bytes) override {
    size += bytes.size();
    hash.update(bytes);
    return {};
  }
  std::uint64_t size = 0;
  Sha256 hash;
};

const std::string& base_bytes() {
  static const std::string kBase = test::golden_base();
  return kBase;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  test::MemoryFile base{base_bytes()};
  test::MemoryFile delta{std::string{as_text({data, size})}};
  const auto reader = DeltaReader::open(delta, base);
  if (!reader || (*reader)->summary().header.target_size > kLargest) {
    return 0;
  }
  const std::uint64_t length = (*reader)->summary().header.target_size;
  const CancelFlag never;
  HashSink once;
  HashSink again;
  const auto one = (*reader)->read(0, length, once, never, 1);
  const auto two = (*reader)->read(0, length, again, never, 2);
  if (one.has_value() != two.has_value()) {
    std::abort();
  }
  if (one &&
      (once.size != length || again.size != length || once.hash.finish() != again.hash.finish())) {
    std::abort();
  }
  return 0;
}
