// delta_bits_probe GOLDEN: prints the digest of what the golden delta makes, then that of a segment
// coded here. Built several times with other compiler flags; delta_bits_test compares what they
// print.

#include <cstdio>

#include "skerry/registry/delta.hpp"

#include "delta_golden.hpp"
#include "memory_file.hpp"
#include "segment_coder.hpp"

namespace {

using namespace skerry;

class ProbeSink final : public registry::ByteSink {
 public:
  Result<void> write(ByteView bytes) override {
    hash.update(bytes);
    return {};
  }
  Sha256 hash;
};

int fail(const Error& error) {
  std::fprintf(stderr, "%s\n", error.to_string().c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    return 2;
  }
  SystemFileSystem fs;
  const auto golden = fs.open(argv[1], OpenMode::kRead, 0);
  if (!golden) {
    return fail(golden.error());
  }
  const std::string base = test::golden_base();
  const std::string target = test::golden_target();
  test::MemoryFile base_file{base};
  const auto reader = registry::DeltaReader::open(**golden, base_file);
  if (!reader) {
    return fail(reader.error());
  }
  ProbeSink sink;
  const registry::CancelFlag never;
  if (auto ok = (*reader)->read(0, target.size(), sink, never, 2); !ok) {
    return fail(ok.error());
  }
  std::printf("decoded %s\n", sink.hash.finish().hex().c_str());

  // One segment with a part of every coding, over blocks of the two sets of weights.
  std::string old_blocks;
  std::string new_blocks;
  std::vector<registry::delta::Part> parts;
  for (const std::uint32_t type : {0U, 1U, 2U, 8U, 12U, 13U, 14U, 30U}) {
    test::Weights source{type + 1};
    test::Weights change{type + 100};
    std::vector<std::int32_t> before(4096);
    std::vector<std::int32_t> after(4096);
    for (std::size_t i = 0; i < before.size(); ++i) {
      before[i] = 16 * source.next();
      after[i] = before[i] + 16 * change.next() / 40;
    }
    const std::string blocks = test::blocks_of(type, after);
    parts.push_back({static_cast<std::uint8_t>(type), blocks.size(), old_blocks.size()});
    old_blocks += test::blocks_of(type, before);
    new_blocks += blocks;
  }
  test::MemoryFile blocks_file{old_blocks};
  const auto payload = registry::delta::encode_segment(blocks_file, parts, as_bytes(new_blocks));
  if (!payload) {
    return fail(payload.error());
  }
  Bytes again(new_blocks.size());
  if (auto ok = registry::delta::decode_segment(blocks_file, old_blocks.size(), *payload, again);
      !ok) {
    return fail(ok.error());
  }
  std::printf("encoded %s\n", Digest::of(*payload).hex().c_str());
  std::printf("round trip %s\n", as_text(again) == new_blocks ? "equal" : "different");
  return 0;
}
