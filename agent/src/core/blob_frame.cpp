#include "skerry/agent/blob_frame.hpp"

#include <optional>
#include <string>

namespace skerry::agent {
namespace {

// Walks over the pieces as if they were one buffer.
class Cursor {
 public:
  explicit Cursor(std::span<const ByteView> pieces) : pieces_(pieces) { skip_empty(); }

  [[nodiscard]] bool at_end() const { return piece_ == pieces_.size(); }
  [[nodiscard]] std::uint64_t position() const { return position_; }

  std::optional<std::uint8_t> next() {
    if (at_end()) {
      return std::nullopt;
    }
    const std::uint8_t byte = pieces_[piece_][index_];
    ++index_;
    ++position_;
    skip_empty();
    return byte;
  }

  std::optional<std::uint64_t> varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::optional<std::uint8_t> byte = next();
      if (!byte) {
        return std::nullopt;
      }
      value |= static_cast<std::uint64_t>(*byte & 0x7fU) << shift;
      if ((*byte & 0x80U) == 0) {
        return value;
      }
    }
    return std::nullopt;
  }

  // False if fewer than `length` bytes are left.
  bool take(std::uint64_t length, std::vector<ByteView>* out) {
    while (length > 0) {
      if (at_end()) {
        return false;
      }
      const ByteView piece = pieces_[piece_];
      const std::uint64_t here = std::min<std::uint64_t>(length, piece.size() - index_);
      if (out != nullptr) {
        out->push_back(piece.subspan(index_, here));
      }
      index_ += here;
      position_ += here;
      length -= here;
      skip_empty();
    }
    return true;
  }

 private:
  void skip_empty() {
    while (piece_ < pieces_.size() && index_ >= pieces_[piece_].size()) {
      ++piece_;
      index_ = 0;
    }
  }

  std::span<const ByteView> pieces_;
  std::size_t piece_ = 0;
  std::uint64_t index_ = 0;
  std::uint64_t position_ = 0;
};

Error bad_frame(const Cursor& cursor, std::string_view problem) {
  return Error{
      Error::Code::kParse,
      "blob chunk, byte " + std::to_string(cursor.position()) + ": " + std::string{problem}};
}

bool skip_field(Cursor& cursor, std::uint64_t wire_type) {
  switch (wire_type) {
    case 0:
      return cursor.varint().has_value();
    case 1:
      return cursor.take(8, nullptr);
    case 2: {
      const std::optional<std::uint64_t> length = cursor.varint();
      return length && cursor.take(*length, nullptr);
    }
    case 5:
      return cursor.take(4, nullptr);
    default:
      return false;
  }
}

}  // namespace

std::uint64_t BlobFrame::size() const {
  std::uint64_t total = 0;
  for (const ByteView piece : data) {
    total += piece.size();
  }
  return total;
}

Result<BlobFrame> parse_blob_frame(std::span<const ByteView> pieces) {
  Cursor cursor{pieces};
  BlobFrame frame;
  bool has_data = false;
  while (!cursor.at_end()) {
    const std::optional<std::uint64_t> tag = cursor.varint();
    if (!tag || (*tag >> 3U) == 0) {
      return bad_frame(cursor, "not a field tag");
    }
    if (*tag == ((1U << 3U) | 0U)) {
      const std::optional<std::uint64_t> offset = cursor.varint();
      if (!offset) {
        return bad_frame(cursor, "the offset is cut short");
      }
      frame.offset = *offset;
    } else if (*tag == ((2U << 3U) | 2U)) {
      const std::optional<std::uint64_t> length = cursor.varint();
      if (!length) {
        return bad_frame(cursor, "the length of the data is cut short");
      }
      if (*length > kMaxBlobFrame) {
        return Error{Error::Code::kTooLarge,
                     "blob chunk: " + std::to_string(*length) + " bytes, at most " +
                         std::to_string(kMaxBlobFrame) + " are taken"};
      }
      if (has_data) {
        return bad_frame(cursor, "a second data field");
      }
      has_data = true;
      if (!cursor.take(*length, &frame.data)) {
        return bad_frame(cursor, "the data is cut short");
      }
    } else if (!skip_field(cursor, *tag & 7U)) {
      return bad_frame(cursor, "an unknown field that cannot be skipped");
    }
  }
  return frame;
}

}  // namespace skerry::agent
