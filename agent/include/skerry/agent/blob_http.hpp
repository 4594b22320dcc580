#pragma once

// The few lines of HTTP that move blobs: which blob a path names, which bytes a Range asks for,
// which ones a Content-Range says it sends (RFC 9110 §14). Read by the HTTPS source and the peer
// server; a fuzz target feeds them.

#include <cstdint>
#include <string_view>

#include "skerry/common/digest.hpp"
#include "skerry/common/result.hpp"

namespace skerry::agent {

// First and last byte, both included.
struct ByteSpan {
  std::uint64_t first = 0;
  std::uint64_t last = 0;

  friend bool operator==(const ByteSpan&, const ByteSpan&) = default;
};

// "/sha256/ab/<64 hex>"; kParse otherwise.
Result<Digest> parse_blob_path(std::string_view target);

// "bytes=0-1023" of a file of `size` bytes, its end cut to the file's; kParse for anything else,
// several ranges and suffixes included.
Result<ByteSpan> parse_byte_range(std::string_view value, std::uint64_t size);

// "bytes 0-1023/4096" or with "*" for the size; kParse otherwise.
Result<ByteSpan> parse_content_range(std::string_view value);

}  // namespace skerry::agent
