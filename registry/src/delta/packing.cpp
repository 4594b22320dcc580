#include "packing.hpp"

#include <algorithm>
#include <bit>
#include <memory>
#include <zstd.h>

namespace skerry::registry::delta {
namespace {

constexpr int kPackLevel = 9;
// What a decoder must have ready: dictionary and segment are at most 12 MiB.
constexpr int kMaxWindowLog = 24;

}  // namespace

Bytes pack_bytes(ByteView bytes, ByteView dictionary) {
  const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context{ZSTD_createCCtx(),
                                                                     &ZSTD_freeCCtx};
  const auto window = static_cast<int>(std::bit_width(bytes.size() + dictionary.size())) + 1;
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kPackLevel);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_windowLog, std::clamp(window, 10, kMaxWindowLog));
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_enableLongDistanceMatching, 1);
  if (!dictionary.empty()) {
    ZSTD_CCtx_refPrefix(context.get(), dictionary.data(), dictionary.size());
  }
  Bytes out(ZSTD_compressBound(bytes.size()));
  const std::size_t size =
      ZSTD_compress2(context.get(), out.data(), out.size(), bytes.data(), bytes.size());
  if (ZSTD_isError(size) != 0 || size >= bytes.size()) {
    return {};
  }
  out.resize(size);
  return out;
}

Result<void> unpack_bytes(ByteView packed, ByteView dictionary, std::span<std::uint8_t> out) {
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context{ZSTD_createDCtx(),
                                                                     &ZSTD_freeDCtx};
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kMaxWindowLog);
  if (!dictionary.empty()) {
    ZSTD_DCtx_refPrefix(context.get(), dictionary.data(), dictionary.size());
  }
  const std::size_t size =
      ZSTD_decompressDCtx(context.get(), out.data(), out.size(), packed.data(), packed.size());
  if (size != out.size()) {
    return Error{Error::Code::kParse, "delta segment: it does not unpack to its length"};
  }
  return {};
}

}  // namespace skerry::registry::delta
