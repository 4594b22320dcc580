#include "chunk_match.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_map>

#include "container.hpp"

namespace skerry::registry::delta {
namespace {

constexpr std::size_t kMinPiece = 2U << 10U;
constexpr std::size_t kMaxPiece = 64U << 10U;
// One cut in 8 KiB of bytes beyond the minimum.
constexpr std::uint64_t kCutMask = std::uint64_t{0x1fff} << 40U;
constexpr std::size_t kWindow = 1U << 20U;

constexpr std::array<std::uint64_t, 256> make_gear() {
  std::array<std::uint64_t, 256> gear{};
  std::uint64_t state = 0x736b65727279ULL;
  for (auto& value : gear) {
    // splitmix64
    state += 0x9e3779b97f4a7c15ULL;
    std::uint64_t z = state;
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
    value = z ^ (z >> 31U);
  }
  return gear;
}
constexpr std::array<std::uint64_t, 256> kGear = make_gear();

std::size_t cut(ByteView bytes) {
  const std::size_t end = std::min(bytes.size(), kMaxPiece);
  std::uint64_t hash = 0;
  for (std::size_t i = std::min(kMinPiece, end); i < end; ++i) {
    hash = (hash << 1U) + kGear[bytes[i]];
    if ((hash & kCutMask) == 0) {
      return i + 1;
    }
  }
  return end;
}

// Not cryptographic: what it finds is compared.
std::uint64_t piece_hash(ByteView bytes) {
  std::uint64_t hash = bytes.size();
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, 8);
    hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
    hash ^= hash >> 29U;
  }
  for (; i < bytes.size(); ++i) {
    hash = (hash ^ bytes[i]) * 0x100000001b3ULL;
  }
  return hash;
}

using OnPiece = std::function<Result<void>(std::uint64_t offset, ByteView bytes)>;

Result<void> for_each_piece(File& file,
                            ByteRange range,
                            const CancelFlag* cancel,
                            const OnPiece& on_piece) {
  Bytes window;
  std::uint64_t read_to = range.offset;
  const std::uint64_t end = range.offset + range.length;
  std::size_t at = 0;
  while (read_to < end || at < window.size()) {
    if (window.size() - at < kMaxPiece && read_to < end) {
      if (cancel != nullptr && cancel->cancelled()) {
        return Error{Error::Code::kCancelled, "making the delta was cancelled"};
      }
      window.erase(window.begin(), window.begin() + static_cast<std::ptrdiff_t>(at));
      at = 0;
      const std::size_t old = window.size();
      const auto more = static_cast<std::size_t>(std::min<std::uint64_t>(kWindow, end - read_to));
      window.resize(old + more);
      if (auto ok = read_exactly(file, read_to, std::span{window}.subspan(old)); !ok) {
        return ok;
      }
      read_to += more;
    }
    const ByteView rest = ByteView{window}.subspan(at);
    const std::size_t length = cut(rest);
    if (auto ok = on_piece(read_to - rest.size(), rest.first(length)); !ok) {
      return ok;
    }
    at += length;
  }
  return {};
}

void join(std::vector<MatchedPiece>& pieces, const MatchedPiece& piece) {
  if (!pieces.empty()) {
    MatchedPiece& last = pieces.back();
    if (last.found == piece.found &&
        (!piece.found || last.base_offset + last.length == piece.base_offset)) {
      last.length += piece.length;
      return;
    }
  }
  pieces.push_back(piece);
}

}  // namespace

Result<std::vector<MatchedPiece>> match_chunks(
    File& base, ByteRange known, File& target, ByteRange wanted, const CancelFlag* cancel) {
  std::unordered_map<std::uint64_t, std::uint64_t> places;
  auto indexed = for_each_piece(
      base, known, cancel, [&](std::uint64_t offset, ByteView bytes) -> Result<void> {
        places.emplace(piece_hash(bytes), offset);
        return {};
      });
  if (!indexed) {
    return indexed.error().with_context("reading the base");
  }
  std::vector<MatchedPiece> pieces;
  Bytes candidate;
  auto matched = for_each_piece(
      target, wanted, cancel, [&](std::uint64_t /*offset*/, ByteView bytes) -> Result<void> {
        const auto place = places.find(piece_hash(bytes));
        MatchedPiece piece{.length = bytes.size()};
        if (place != places.end() && bytes.size() <= known.offset + known.length - place->second) {
          candidate.resize(bytes.size());
          if (auto ok = read_exactly(base, place->second, candidate); !ok) {
            return ok;
          }
          piece.found = std::equal(bytes.begin(), bytes.end(), candidate.begin());
          piece.base_offset = piece.found ? place->second : 0;
        }
        join(pieces, piece);
        return {};
      });
  if (!matched) {
    return matched.error().with_context("comparing with the base");
  }
  return pieces;
}

}  // namespace skerry::registry::delta
