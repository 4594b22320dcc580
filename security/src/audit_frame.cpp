#include "audit_frame.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "skerry/common/json.hpp"

namespace skerry::security {

namespace {

constexpr std::size_t kBuffer = 256U << 10U;
constexpr std::size_t kNameDigits = 20;
constexpr std::string_view kNamePrefix = "seg-";
constexpr std::string_view kNameSuffix = ".log";
constexpr std::string_view kFormat = "skerry-audit/1";

Digest frame_check(std::uint8_t type, std::string_view payload) {
  Sha256 hash;
  hash.update(ByteView{&type, 1});
  hash.update(payload);
  return hash.finish();
}

std::uint32_t read_u32(std::string_view bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    value |= static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  }
  return value;
}

bool known_type(std::uint8_t type) {
  return type == static_cast<std::uint8_t>(FrameType::kRecord) ||
         type == static_cast<std::uint8_t>(FrameType::kCheckpoint) ||
         type == static_cast<std::uint8_t>(FrameType::kHeader);
}

FrameStep stop(FrameStep::Kind kind, std::uint64_t offset, std::string message) {
  FrameStep step;
  step.kind = kind;
  step.offset = offset;
  step.message = std::move(message);
  return step;
}

}  // namespace

Digest append_frame(std::string& out, FrameType type, std::string_view payload) {
  const auto size = static_cast<std::uint32_t>(payload.size());
  out += static_cast<char>(type);
  for (unsigned shift = 0; shift < 32; shift += 8) {
    out += static_cast<char>((size >> shift) & 0xffU);
  }
  out += payload;
  const Digest check = frame_check(static_cast<std::uint8_t>(type), payload);
  out += as_text(check.bytes());
  return check;
}

std::string SegmentHeader::encode() const {
  Json::Array edge;
  for (const Digest& node : frontier.edge()) {
    edge.emplace_back(node.hex());
  }
  Json::Object header;
  header.emplace("format", kFormat);
  header.emplace("origin", origin);
  header.emplace("first_seq", frontier.size());
  header.emplace("edge", std::move(edge));
  return Json{std::move(header)}.dump();
}

Result<SegmentHeader> SegmentHeader::decode(std::string_view payload) {
  auto json = Json::parse(payload, JsonLimits{kMaxFramePayload, 4});
  if (!json) {
    return std::move(json).error();
  }
  auto format = json->get_string("format");
  if (!format || *format != kFormat) {
    return Error{Error::Code::kParse, "the format is not " + std::string{kFormat}};
  }
  auto origin = json->get_string("origin");
  if (!origin) {
    return std::move(origin).error();
  }
  auto first = json->get_int("first_seq");
  if (!first || *first < 0) {
    return Error{Error::Code::kParse, "first_seq is no sequence number"};
  }
  auto nodes = json->get_array("edge");
  if (!nodes) {
    return std::move(nodes).error();
  }
  std::vector<Digest> edge;
  for (const Json& node : *(*nodes)->array()) {
    const std::string* hex = node.string();
    auto digest = Digest::from_hex(hex == nullptr ? std::string_view{} : std::string_view{*hex});
    if (!digest) {
      return digest.error().with_context("edge");
    }
    edge.push_back(*digest);
  }
  auto frontier = MerkleFrontier::restore(static_cast<std::uint64_t>(*first), std::move(edge));
  if (!frontier) {
    return std::move(frontier).error();
  }
  return SegmentHeader{std::move(*origin), std::move(*frontier)};
}

FrameReader::FrameReader(File& file, std::uint64_t end) : file_(file), end_(end) {}

Result<std::string_view> FrameReader::peek(std::size_t size) {
  const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(size, end_ - offset_));
  const bool inside = offset_ >= buffer_start_ && offset_ + want <= buffer_start_ + buffer_.size();
  if (!inside) {
    const auto length =
        static_cast<std::size_t>(std::min<std::uint64_t>(std::max(want, kBuffer), end_ - offset_));
    buffer_.resize(length);
    auto got = file_.read_at(
        offset_, std::span{reinterpret_cast<std::uint8_t*>(buffer_.data()), buffer_.size()});
    if (!got) {
      return std::move(got).error();
    }
    buffer_.resize(*got);
    buffer_start_ = offset_;
  }
  return std::string_view{buffer_}.substr(static_cast<std::size_t>(offset_ - buffer_start_), want);
}

Result<FrameStep> FrameReader::begin() {
  auto bytes = peek(kAuditMagic.size());
  if (!bytes) {
    return std::move(bytes).error();
  }
  if (*bytes != kAuditMagic) {
    const bool prefix = kAuditMagic.starts_with(*bytes);
    return stop(prefix ? FrameStep::Kind::kTorn : FrameStep::Kind::kBad,
                0,
                "the file does not begin with " + std::string{kAuditMagic});
  }
  offset_ = kAuditMagic.size();
  return next();
}

Result<FrameStep> FrameReader::next() {
  const std::uint64_t at = offset_;
  auto head = peek(kFrameHead);
  if (!head) {
    return std::move(head).error();
  }
  if (head->empty()) {
    return stop(FrameStep::Kind::kEnd, at, {});
  }
  const auto type = static_cast<std::uint8_t>(head->front());
  if (!known_type(type)) {
    return stop(FrameStep::Kind::kBad, at, "unknown frame type " + std::to_string(type));
  }
  if (head->size() < kFrameHead) {
    return stop(FrameStep::Kind::kTorn, at, "the file ends inside a frame");
  }
  const std::size_t size = read_u32(head->substr(1));
  if (size > kMaxFramePayload) {
    return stop(FrameStep::Kind::kBad,
                at,
                "a frame of " + std::to_string(size) + " bytes; 65536 is the most");
  }
  const std::size_t whole = kFrameHead + size + kFrameCheck;
  auto bytes = peek(whole);
  if (!bytes) {
    return std::move(bytes).error();
  }
  if (bytes->size() < whole) {
    return stop(FrameStep::Kind::kTorn, at, "the file ends inside a frame");
  }
  FrameStep step;
  step.kind = FrameStep::Kind::kFrame;
  step.offset = at;
  step.frame.type = static_cast<FrameType>(type);
  const std::string_view payload = bytes->substr(kFrameHead, size);
  step.frame.check = frame_check(type, payload);
  if (as_text(step.frame.check.bytes()) != bytes->substr(kFrameHead + size)) {
    return stop(FrameStep::Kind::kBad, at, "the frame does not match its hash");
  }
  step.frame.payload = std::string{payload};
  offset_ += whole;
  return step;
}

Result<bool> frame_follows(File& file, std::uint64_t offset, std::uint64_t end) {
  // Frames begin with few possible bytes and a small length, so almost every offset is ruled out
  // without hashing; the rest of a segment is small.
  constexpr std::size_t kWindow = 1U << 20U;
  std::string bytes(static_cast<std::size_t>(std::min<std::uint64_t>(end - offset, 8 * kWindow)),
                    '\0');
  auto got =
      file.read_at(offset, std::span{reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()});
  if (!got) {
    return std::move(got).error();
  }
  bytes.resize(*got);
  std::uint64_t hashed = 0;
  for (std::size_t at = 0; at + kFrameHead + kFrameCheck <= bytes.size(); ++at) {
    const auto type = static_cast<std::uint8_t>(bytes[at]);
    const std::string_view rest = std::string_view{bytes}.substr(at);
    if (!known_type(type)) {
      continue;
    }
    const std::size_t size = read_u32(rest.substr(1));
    // Every payload of ours is a JSON object or a note: never empty.
    if (size < 2 || size > kMaxFramePayload || rest.size() < kFrameHead + size + kFrameCheck) {
      continue;
    }
    const std::string_view payload = rest.substr(kFrameHead, size);
    if (as_text(frame_check(type, payload).bytes()) ==
        rest.substr(kFrameHead + size, kFrameCheck)) {
      return true;
    }
    hashed += size;
    // Crafted bytes could make this quadratic; such a file is no torn append.
    if (hashed > 64 * kWindow) {
      return true;
    }
  }
  return false;
}

std::string segment_name(std::uint64_t first_seq) {
  std::string digits = std::to_string(first_seq);
  digits.insert(0, kNameDigits - digits.size(), '0');
  return std::string{kNamePrefix} + digits + std::string{kNameSuffix};
}

std::optional<std::uint64_t> parse_segment_name(std::string_view name) {
  if (name.size() != kNamePrefix.size() + kNameDigits + kNameSuffix.size() ||
      !name.starts_with(kNamePrefix) || !name.ends_with(kNameSuffix)) {
    return std::nullopt;
  }
  const std::string_view digits = name.substr(kNamePrefix.size(), kNameDigits);
  std::uint64_t value = 0;
  const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (ec != std::errc{} || end != digits.data() + digits.size()) {
    return std::nullopt;
  }
  return value;
}

Result<std::vector<SegmentFile>> list_segments(FileSystem& fs,
                                               const std::filesystem::path& directory) {
  auto names = fs.list(directory);
  if (!names) {
    return std::move(names).error();
  }
  std::vector<SegmentFile> segments;
  for (std::string& name : *names) {
    if (const auto first = parse_segment_name(name)) {
      segments.push_back(SegmentFile{*first, std::move(name)});
    }
  }
  std::sort(segments.begin(), segments.end(), [](const SegmentFile& a, const SegmentFile& b) {
    return a.first_seq < b.first_seq;
  });
  return segments;
}

}  // namespace skerry::security
