// What an encrypted store reads back: `store.key` and sealed messages. The first byte says which.
// What is accepted survives its bytes; what was sealed opens to what it was, and not with a bit
// changed.

#include <algorithm>
#include <cstdlib>

#include "skerry/registry/store_key.hpp"
#include "skerry/security/chunked_encryption.hpp"

namespace {

using namespace skerry;
using security::ChunkedMessage;

constexpr std::string_view kFuzzKey = "YELLOW SUBMARINE YELLOW SUBMARINE";

void read_key_file(std::string_view text) {
  const auto file = registry::StoreKeyFile::parse(text);
  if (!file) {
    return;
  }
  const auto again = registry::StoreKeyFile::parse(file->serialise());
  if (!again || again->wrapping_key != file->wrapping_key || again->wrapped != file->wrapped) {
    std::abort();
  }
}

void open_sealed_bytes(ByteView sealed) {
  const auto key = as_bytes(kFuzzKey).first(ChunkedMessage::kKey);
  const auto plain = security::open_message(key, {}, sealed);
  if (plain && ChunkedMessage::sealed_size(plain->size()) != sealed.size()) {
    std::abort();
  }
}

void seal_and_open(ByteView plain) {
  const auto key = as_bytes(kFuzzKey).first(ChunkedMessage::kKey);
  auto sealed = security::seal_message(key, {}, plain);
  const auto back = sealed ? security::open_message(key, {}, *sealed) : sealed;
  if (!back || !std::equal(back->begin(), back->end(), plain.begin(), plain.end())) {
    std::abort();
  }
  const std::size_t at = plain.empty() ? 0 : plain[0] * sealed->size() / 256;
  (*sealed)[at] ^= 1U;
  if (security::open_message(key, {}, *sealed)) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const ByteView rest{data + 1, size - 1};
  switch (data[0] % 3) {
    case 0:
      read_key_file(as_text(rest));
      break;
    case 1:
      open_sealed_bytes(rest);
      break;
    default:
      seal_and_open(rest);
      break;
  }
  return 0;
}
