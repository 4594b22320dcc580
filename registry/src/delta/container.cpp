#include "container.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "varint.hpp"

namespace skerry::registry::delta {
namespace {

constexpr std::string_view kMagic = "SKDELTA1";
// Bytes of the directory's digest that the header carries: against damage, not against people.
constexpr std::size_t kCheckBytes = 16;

Error not_a_delta(const std::string& what) {
  return {Error::Code::kParse, "delta: " + what};
}

void put_u64(Bytes& out, std::uint64_t value) {
  for (unsigned shift = 0; shift < 64; shift += 8) {
    out.push_back(static_cast<std::uint8_t>(value >> shift));
  }
}

void put_bytes(Bytes& out, ByteView bytes) {
  for (const std::uint8_t byte : bytes) {
    out.push_back(byte);
  }
}

std::uint64_t get_u64(ByteView bytes, std::size_t at) {
  std::uint64_t value = 0;
  for (std::size_t i = 8; i-- > 0;) {
    value = value << 8U | bytes[at + i];
  }
  return value;
}

// One entry; where it lies is filled in by the caller.
Result<Segment> parse_segment(VarintReader& in, const DeltaHeader& header) {
  Segment segment;
  const std::uint8_t kind = in.byte();
  if (kind > static_cast<std::uint8_t>(SegmentKind::kPredicted)) {
    return not_a_delta("a segment of the unknown kind " + std::to_string(kind));
  }
  segment.kind = static_cast<SegmentKind>(kind);
  segment.length = in.varint();
  if (segment.kind != SegmentKind::kCopy) {
    segment.payload_length = in.varint();
  }
  if (segment.kind == SegmentKind::kCopy || segment.kind == SegmentKind::kPacked) {
    segment.base_offset = in.varint();
  }
  if (segment.kind == SegmentKind::kPacked) {
    segment.base_length = in.varint();
  }
  if (!in.ok()) {
    return not_a_delta("the directory is cut short");
  }
  const std::uint64_t used =
      segment.kind == SegmentKind::kCopy ? segment.length : segment.base_length;
  if (segment.base_offset > header.base_size || used > header.base_size - segment.base_offset) {
    return not_a_delta("a segment reaches beyond the base");
  }
  const bool copy = segment.kind == SegmentKind::kCopy;
  if (segment.length == 0 || (!copy && segment.length > kSegmentBytes) ||
      segment.payload_length > kMaxPayload || segment.base_length > kMaxPrefix ||
      (segment.kind == SegmentKind::kStored && segment.payload_length != segment.length)) {
    return not_a_delta("a segment is empty or larger than the format allows");
  }
  return segment;
}

}  // namespace

Bytes serialize_directory(const std::vector<Segment>& segments) {
  Bytes out;
  put_varint(out, segments.size());
  for (const Segment& segment : segments) {
    out.push_back(static_cast<std::uint8_t>(segment.kind));
    put_varint(out, segment.length);
    if (segment.kind != SegmentKind::kCopy) {
      put_varint(out, segment.payload_length);
    }
    if (segment.kind == SegmentKind::kCopy || segment.kind == SegmentKind::kPacked) {
      put_varint(out, segment.base_offset);
    }
    if (segment.kind == SegmentKind::kPacked) {
      put_varint(out, segment.base_length);
    }
  }
  return out;
}

Bytes serialize_header(const DeltaHeader& header,
                       std::uint64_t directory_offset,
                       ByteView directory) {
  Bytes out;
  put_bytes(out, as_bytes(kMagic));
  put_bytes(out, header.base.bytes());
  put_u64(out, header.base_size);
  put_bytes(out, header.target.bytes());
  put_u64(out, header.target_size);
  put_u64(out, directory_offset);
  put_u64(out, directory.size());
  put_bytes(out, Digest::of(directory).bytes().first(kCheckBytes));
  out.resize(kHeaderBytes, 0);
  return out;
}

Result<void> read_exactly(File& file, std::uint64_t offset, std::span<std::uint8_t> out) {
  const auto count = file.read_at(offset, out);
  if (!count) {
    return count.error();
  }
  if (*count != out.size()) {
    return Error{
        Error::Code::kIo,
        "the file ends at byte " + std::to_string(offset + *count) + ", earlier than expected"};
  }
  return {};
}

Result<Directory> read_directory(File& delta) {
  const auto status = delta.status();
  if (!status) {
    return status.error().with_context("delta");
  }
  Bytes head(kHeaderBytes);
  if (status->size < kHeaderBytes) {
    return not_a_delta("shorter than its header");
  }
  if (auto ok = read_exactly(delta, 0, head); !ok) {
    return ok.error().with_context("delta");
  }
  if (as_text(ByteView{head}.first(kMagic.size())) != kMagic) {
    return not_a_delta("it does not begin with " + std::string{kMagic});
  }
  Directory directory;
  const ByteView view{head};
  directory.header.base = *Digest::from_bytes(view.subspan(8, Digest::kSize));
  directory.header.base_size = get_u64(view, 40);
  directory.header.target = *Digest::from_bytes(view.subspan(48, Digest::kSize));
  directory.header.target_size = get_u64(view, 80);
  const std::uint64_t offset = get_u64(view, 88);
  const std::uint64_t length = get_u64(view, 96);
  if (directory.header.base_size > kMaxFile || directory.header.target_size > kMaxFile ||
      length > kMaxDirectory) {
    return Error{Error::Code::kTooLarge, "delta: a size beyond the limits of the format"};
  }
  if (offset < kHeaderBytes || offset > status->size || length != status->size - offset) {
    return not_a_delta("the directory is not where the header says");
  }
  Bytes bytes(static_cast<std::size_t>(length));
  if (auto ok = read_exactly(delta, offset, bytes); !ok) {
    return ok.error().with_context("delta");
  }
  const Digest digest = Digest::of(bytes);
  if (!std::equal(view.begin() + 104, view.begin() + 104 + kCheckBytes, digest.bytes().begin())) {
    return not_a_delta("the directory is damaged");
  }
  VarintReader in{bytes};
  const std::uint64_t count = in.varint();
  if (!in.ok() || count > kMaxSegments) {
    return not_a_delta("more segments than the format allows");
  }
  std::uint64_t at = 0;
  std::uint64_t payload_at = kHeaderBytes;
  for (std::uint64_t i = 0; i < count; ++i) {
    auto segment = parse_segment(in, directory.header);
    if (!segment) {
      return segment.error().with_context("segment " + std::to_string(i));
    }
    segment->offset = at;
    segment->payload_offset = payload_at;
    if (segment->length > directory.header.target_size - at ||
        segment->payload_length > offset - payload_at) {
      return not_a_delta("segment " + std::to_string(i) +
                         " reaches beyond the target or the payload");
    }
    at += segment->length;
    payload_at += segment->payload_length;
    directory.segments.push_back(*segment);
  }
  if (in.left() != 0 || at != directory.header.target_size || payload_at != offset) {
    return not_a_delta("the segments do not add up to the target");
  }
  return directory;
}

}  // namespace skerry::registry::delta
