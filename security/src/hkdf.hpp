#pragma once

// HKDF (RFC 5869) by OpenSSL, its two halves apart. Private to security/.

#include <cstdint>
#include <span>

#include "skerry/common/bytes.hpp"
#include "skerry/common/result.hpp"

namespace skerry::security {

// `digest` is OpenSSL's name of a hash. Both fill all of `out`; extract gives one hash.
Result<void> hkdf_extract(const char* digest,
                          ByteView salt,
                          ByteView input,
                          std::span<std::uint8_t> out);
Result<void> hkdf_expand(const char* digest,
                         ByteView key,
                         ByteView info,
                         std::span<std::uint8_t> out);

}  // namespace skerry::security
