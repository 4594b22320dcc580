#include "skerry/runtime/frame.hpp"

namespace skerry::runtime {
namespace {

// Header: magic "SKW1", payload length, number of descriptors, each a little-endian uint32.
constexpr std::uint32_t kMagic = 0x31574b53U;
constexpr std::size_t kCompactAbove = 1U << 16U;

void put_u32(std::string& out, std::uint32_t value) {
  for (unsigned shift = 0; shift < 32; shift += 8) {
    out.push_back(static_cast<char>((value >> shift) & 0xffU));
  }
}

std::uint32_t get_u32(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 4; i-- > 0;) {
    value = (value << 8U) | static_cast<std::uint8_t>(bytes[at + i]);
  }
  return value;
}

}  // namespace

Result<std::string> encode_frame(std::string_view payload, std::uint32_t descriptors) {
  if (payload.size() > kMaxFramePayload) {
    return Error{Error::Code::kTooLarge,
                 "a worker message of " + std::to_string(payload.size()) +
                     " bytes is over the limit of " + std::to_string(kMaxFramePayload)};
  }
  if (descriptors > kMaxFrameDescriptors) {
    return Error{Error::Code::kTooLarge,
                 std::to_string(descriptors) + " files are over the limit of " +
                     std::to_string(kMaxFrameDescriptors) + " for one model"};
  }
  std::string frame;
  frame.reserve(kFrameHeaderSize + payload.size());
  put_u32(frame, kMagic);
  put_u32(frame, static_cast<std::uint32_t>(payload.size()));
  put_u32(frame, descriptors);
  frame += payload;
  return frame;
}

void FrameDecoder::feed(ByteView bytes) {
  if (!broken_) {
    buffer_ += as_text(bytes);
  }
}

Result<std::optional<Frame>> FrameDecoder::next() {
  if (broken_) {
    return *broken_;
  }
  const std::string_view rest = std::string_view{buffer_}.substr(begin_);
  if (rest.size() < kFrameHeaderSize) {
    return std::optional<Frame>{};
  }
  const std::uint32_t magic = get_u32(rest, 0);
  const std::uint32_t length = get_u32(rest, 4);
  const std::uint32_t descriptors = get_u32(rest, 8);
  if (magic != kMagic) {
    broken_ = Error{Error::Code::kParse, "a worker frame does not begin with its magic number"};
  } else if (length > kMaxFramePayload || descriptors > kMaxFrameDescriptors) {
    broken_ = Error{Error::Code::kTooLarge,
                    "a worker frame announces " + std::to_string(length) + " bytes and " +
                        std::to_string(descriptors) + " descriptors"};
  }
  if (broken_) {
    buffer_.clear();
    begin_ = 0;
    return *broken_;
  }
  if (rest.size() - kFrameHeaderSize < length) {
    return std::optional<Frame>{};
  }
  Frame frame;
  frame.payload = rest.substr(kFrameHeaderSize, length);
  frame.descriptors = descriptors;
  begin_ += kFrameHeaderSize + length;
  if (begin_ == buffer_.size()) {
    buffer_.clear();
    begin_ = 0;
  } else if (begin_ > kCompactAbove) {
    buffer_.erase(0, begin_);
    begin_ = 0;
  }
  return std::optional<Frame>{std::move(frame)};
}

}  // namespace skerry::runtime
