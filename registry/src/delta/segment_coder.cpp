#include "segment_coder.hpp"

#include <algorithm>

#include "block_codec.hpp"
#include "container.hpp"
#include "varint.hpp"

namespace skerry::registry::delta {
namespace {

constexpr std::uint64_t kMaxParts = 4096;

std::uint64_t fold_signed(std::int64_t value) {
  return static_cast<std::uint64_t>(value) << 1U ^ static_cast<std::uint64_t>(value >> 63);
}
std::int64_t unfold_signed(std::uint64_t folded) {
  return static_cast<std::int64_t>(folded >> 1U ^ (0U - (folded & 1U)));
}

Error malformed_segment(const char* what) {
  return {Error::Code::kParse, std::string{"delta segment: "} + what};
}

struct ParsedPart {
  Part part;
  std::int32_t reference = 0;
  ByteView bytes;
};

Result<std::vector<ParsedPart>> parse_parts(VarintReader& in,
                                            std::uint64_t base_size,
                                            std::uint64_t target_size) {
  const std::uint64_t count = in.varint();
  if (!in.ok() || count == 0 || count > kMaxParts) {
    return malformed_segment("no parts or too many");
  }
  std::vector<ParsedPart> parts;
  std::uint64_t base_at = 0;
  std::uint64_t left = target_size;
  for (std::uint64_t i = 0; i < count; ++i) {
    ParsedPart parsed;
    parsed.part.coding = in.byte();
    parsed.part.length = in.varint();
    if (!in.ok() || parsed.part.length == 0 || parsed.part.length > left) {
      return malformed_segment("a part that does not fit");
    }
    left -= parsed.part.length;
    if (parsed.part.coding == kPartBytes) {
      parsed.bytes = in.take(static_cast<std::size_t>(parsed.part.length));
    } else {
      // Modular, then checked as a whole.
      base_at += static_cast<std::uint64_t>(unfold_signed(in.varint()));
      if (base_at > base_size || parsed.part.length > base_size - base_at) {
        return malformed_segment("a part reaches beyond the base");
      }
      parsed.part.base_offset = base_at;
      base_at += parsed.part.length;
      if (parsed.part.coding != kPartCopy) {
        const auto unit = coding_unit(parsed.part.coding);
        if (!unit || parsed.part.length % *unit != 0) {
          return malformed_segment("a part of an unknown coding or a broken block");
        }
        const std::int64_t reference = unfold_signed(in.varint());
        parsed.reference =
            static_cast<std::int32_t>(std::clamp<std::int64_t>(reference, -4096, 4096));
      }
    }
    if (!in.ok()) {
      return malformed_segment("cut short");
    }
    parts.push_back(parsed);
  }
  if (left != 0) {
    return malformed_segment("the parts do not fill it");
  }
  return parts;
}

}  // namespace

Result<Bytes> encode_segment(File& base, const std::vector<Part>& parts, ByteView target) {
  Bytes out;
  put_varint(out, parts.size());
  SymbolRecorder recorder;
  recorder.reserve(2 * target.size());
  Bytes old;
  std::uint64_t base_at = 0;
  for (const Part& part : parts) {
    const ByteView now = target.first(static_cast<std::size_t>(part.length));
    target = target.subspan(now.size());
    out.push_back(part.coding);
    put_varint(out, part.length);
    if (part.coding == kPartBytes) {
      out.insert(out.end(), now.begin(), now.end());
      continue;
    }
    put_varint(out, fold_signed(static_cast<std::int64_t>(part.base_offset - base_at)));
    base_at = part.base_offset + part.length;
    if (part.coding == kPartCopy) {
      continue;
    }
    old.resize(now.size());
    if (auto ok = read_exactly(base, part.base_offset, old); !ok) {
      return ok.error();
    }
    const auto coding = static_cast<Coding>(part.coding);
    const std::int32_t reference = std::clamp(reference_scale(coding, now), -4096, 4096);
    put_varint(out, fold_signed(reference));
    record_blocks(coding, reference, old, now, recorder);
  }
  const Bytes coded = recorder.finish();
  out.insert(out.end(), coded.begin(), coded.end());
  return out;
}

Result<void> decode_segment(File& base,
                            std::uint64_t base_size,
                            ByteView payload,
                            std::span<std::uint8_t> target) {
  VarintReader in{payload};
  const auto parts = parse_parts(in, base_size, target.size());
  if (!parts) {
    return parts.error();
  }
  auto reader = SymbolReader::open(payload.subspan(payload.size() - in.left()));
  if (!reader) {
    return reader.error();
  }
  Bytes old;
  for (const ParsedPart& parsed : *parts) {
    const auto now = target.first(static_cast<std::size_t>(parsed.part.length));
    target = target.subspan(now.size());
    if (parsed.part.coding == kPartBytes) {
      std::copy(parsed.bytes.begin(), parsed.bytes.end(), now.begin());
      continue;
    }
    if (parsed.part.coding == kPartCopy) {
      if (auto ok = read_exactly(base, parsed.part.base_offset, now); !ok) {
        return ok;
      }
      continue;
    }
    old.resize(now.size());
    if (auto ok = read_exactly(base, parsed.part.base_offset, old); !ok) {
      return ok;
    }
    read_blocks(static_cast<Coding>(parsed.part.coding), parsed.reference, old, now, *reader);
  }
  if (!reader->ended_well()) {
    return malformed_segment("the coded residuals do not end where they should");
  }
  return {};
}

}  // namespace skerry::registry::delta
