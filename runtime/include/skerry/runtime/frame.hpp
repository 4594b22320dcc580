#pragma once

// Framing of the worker protocol (docs/formats/worker.md): a 12-byte header and a payload, over a
// byte stream. `FrameDecoder` is sans-I/O: the supervisor and the worker feed it what they read.
// The supervisor feeds it bytes of a process it does not trust.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "skerry/common/bytes.hpp"
#include "skerry/common/result.hpp"

namespace skerry::runtime {

inline constexpr std::size_t kFrameHeaderSize = 12;
// A larger payload is refused by both sides, before it is allocated.
inline constexpr std::size_t kMaxFramePayload = 64U << 20U;
inline constexpr std::uint32_t kMaxFrameDescriptors = 64;

struct Frame {
  std::string payload;
  // Descriptors that arrived with the frame; the receiver takes them from its queue, in order.
  std::uint32_t descriptors = 0;
};

// Header and payload as one buffer. kTooLarge beyond the limits.
Result<std::string> encode_frame(std::string_view payload, std::uint32_t descriptors);

class FrameDecoder {
 public:
  void feed(ByteView bytes);
  // The next whole frame, nothing if more bytes are needed; kParse or kTooLarge if the stream is
  // broken, after which the decoder stays broken. Memory stays below twice the payload limit as
  // long as the caller takes frames after each feed of at most 1 MiB.
  Result<std::optional<Frame>> next();

 private:
  std::string buffer_;
  std::size_t begin_ = 0;
  std::optional<Error> broken_;
};

}  // namespace skerry::runtime
