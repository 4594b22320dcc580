#include "skerry/common/sha256_lanes.hpp"

#include <algorithm>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace skerry {
namespace {

constexpr std::size_t kBlock = 64;

// FIPS 180-4, 5.3.3.
using State = std::array<std::uint32_t, 8>;
constexpr State kInitial{
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

#if defined(__x86_64__)

// FIPS 180-4, 4.2.2.
alignas(64) constexpr std::array<std::uint32_t, 64> kRoundConstants{
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

#define SKERRY_SHA_TARGET __attribute__((target("sha,sse4.1,ssse3")))
#if defined(__clang__)
#define SKERRY_UNROLL_16 _Pragma("unroll 16")
#else
#define SKERRY_UNROLL_16 _Pragma("GCC unroll 16")
#endif

bool has_sha_extensions() {
  unsigned int a = 0;
  unsigned int b = 0;
  unsigned int c = 0;
  unsigned int d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_SSSE3) == 0 || (c & bit_SSE4_1) == 0) {
    return false;
  }
  constexpr unsigned int kShaBit = 1U << 29U;  // leaf 7, EBX
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & kShaBit) != 0;
}

// One message on its way: the state in the order that the instructions want, and the last sixteen
// words of the message schedule.
struct Lane {
  __m128i abef;
  __m128i cdgh;
  __m128i schedule[4];
};

SKERRY_SHA_TARGET inline __m128i load_words(const void* from) {
  return _mm_loadu_si128(static_cast<const __m128i*>(from));
}

SKERRY_SHA_TARGET inline void load_state(const State& state, Lane& lane) {
  const __m128i cdab = _mm_shuffle_epi32(load_words(state.data()), 0xB1);
  const __m128i efgh = _mm_shuffle_epi32(load_words(state.data() + 4), 0x1B);
  lane.abef = _mm_alignr_epi8(cdab, efgh, 8);
  lane.cdgh = _mm_blend_epi16(efgh, cdab, 0xF0);
}

SKERRY_SHA_TARGET inline void store_state(State& state, const Lane& lane) {
  const __m128i feba = _mm_shuffle_epi32(lane.abef, 0x1B);
  const __m128i dchg = _mm_shuffle_epi32(lane.cdgh, 0xB1);
  auto* out = reinterpret_cast<__m128i*>(state.data());
  _mm_storeu_si128(out, _mm_blend_epi16(feba, dchg, 0xF0));
  _mm_storeu_si128(out + 1, _mm_alignr_epi8(dchg, feba, 8));
}

// Rounds 4 * step to 4 * step + 3 of the block at `block`.
SKERRY_SHA_TARGET inline void four_rounds(Lane& lane, const std::uint8_t* block, unsigned step) {
  __m128i* w = lane.schedule;
  if (step < 4) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    w[step] = _mm_shuffle_epi8(load_words(block + 16 * static_cast<std::size_t>(step)), big_endian);
  } else {
    const __m128i oldest = _mm_sha256msg1_epu32(w[step & 3U], w[(step + 1) & 3U]);
    const __m128i newest = w[(step + 3) & 3U];
    const __m128i sum = _mm_add_epi32(oldest, _mm_alignr_epi8(newest, w[(step + 2) & 3U], 4));
    w[step & 3U] = _mm_sha256msg2_epu32(sum, newest);
  }
  const __m128i words =
      _mm_add_epi32(w[step & 3U], load_words(&kRoundConstants[std::size_t{4} * step]));
  lane.cdgh = _mm_sha256rnds2_epu32(lane.cdgh, lane.abef, words);
  lane.abef = _mm_sha256rnds2_epu32(lane.abef, lane.cdgh, _mm_shuffle_epi32(words, 0x0E));
}

// Runs `blocks` blocks of both messages through their states, round by round in turn.
SKERRY_SHA_TARGET void compress_pair(State& first,
                                     const std::uint8_t* first_data,
                                     State& second,
                                     const std::uint8_t* second_data,
                                     std::size_t blocks) {
  Lane a{};
  Lane b{};
  load_state(first, a);
  load_state(second, b);
  for (; blocks > 0; --blocks, first_data += kBlock, second_data += kBlock) {
    const Lane before_a = a;
    const Lane before_b = b;
    SKERRY_UNROLL_16
    for (unsigned step = 0; step < 16; ++step) {
      four_rounds(a, first_data, step);
      four_rounds(b, second_data, step);
    }
    a.abef = _mm_add_epi32(a.abef, before_a.abef);
    a.cdgh = _mm_add_epi32(a.cdgh, before_a.cdgh);
    b.abef = _mm_add_epi32(b.abef, before_b.abef);
    b.cdgh = _mm_add_epi32(b.cdgh, before_b.cdgh);
  }
  store_state(first, a);
  store_state(second, b);
}

#undef SKERRY_UNROLL_16
#undef SKERRY_SHA_TARGET

#else

bool has_sha_extensions() {
  return false;
}

// Never called: there are no lanes here.
void compress_pair(State&, const std::uint8_t*, State&, const std::uint8_t*, std::size_t) {}

#endif

// What follows the last whole block of a message: its rest, a one bit, zeros, its length in bits
// (FIPS 180-4, 5.1.1).
struct Tail {
  std::array<std::uint8_t, 2 * kBlock> bytes{};
  std::size_t blocks = 0;

  Tail(ByteView rest, std::uint64_t length) : blocks(rest.size() < kBlock - 8 ? 1 : 2) {
    std::copy(rest.begin(), rest.end(), bytes.begin());
    bytes[rest.size()] = 0x80;
    for (std::size_t i = 0; i < 8; ++i) {
      bytes[blocks * kBlock - 1 - i] = static_cast<std::uint8_t>((length * 8) >> (8 * i));
    }
  }
};

Digest to_digest(const State& state) {
  std::array<std::uint8_t, Digest::kSize> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::uint8_t>(state[i / 4] >> (24 - 8 * (i % 4)));
  }
  return Digest{bytes};
}

}  // namespace

bool sha256_lanes_pay() {
  static const bool pay = has_sha_extensions();
  return pay;
}

std::pair<Digest, Digest> digest_pair(ByteView first, ByteView second) {
  if (first.size() != second.size() || !sha256_lanes_pay()) {
    return {Digest::of(first), Digest::of(second)};
  }
  State a = kInitial;
  State b = kInitial;
  const std::size_t whole = first.size() / kBlock;
  compress_pair(a, first.data(), b, second.data(), whole);
  const Tail tail_a{first.subspan(whole * kBlock), first.size()};
  const Tail tail_b{second.subspan(whole * kBlock), second.size()};
  compress_pair(a, tail_a.bytes.data(), b, tail_b.bytes.data(), tail_a.blocks);
  return {to_digest(a), to_digest(b)};
}

struct PiecewiseSha256::Impl {
  Sha256 stream;  // without lanes
  State whole = kInitial;
  Bytes rest;  // of the last piece
  std::uint64_t length = 0;
};

PiecewiseSha256::PiecewiseSha256() : impl_(std::make_unique<Impl>()) {}
PiecewiseSha256::~PiecewiseSha256() = default;

Digest PiecewiseSha256::add(ByteView piece) {
  impl_->length += piece.size();
  if (!sha256_lanes_pay()) {
    impl_->stream.update(piece);
    return Digest::of(piece);
  }
  State alone = kInitial;
  const std::size_t whole = piece.size() / kBlock;
  compress_pair(impl_->whole, piece.data(), alone, piece.data(), whole);
  const auto rest = piece.subspan(whole * kBlock);
  impl_->rest.assign(rest.begin(), rest.end());
  const Tail tail{rest, piece.size()};
  State unused = kInitial;
  compress_pair(alone, tail.bytes.data(), unused, tail.bytes.data(), tail.blocks);
  return to_digest(alone);
}

Digest PiecewiseSha256::finish() {
  if (!sha256_lanes_pay()) {
    return impl_->stream.finish();
  }
  const Tail tail{impl_->rest, impl_->length};
  State unused = kInitial;
  compress_pair(impl_->whole, tail.bytes.data(), unused, tail.bytes.data(), tail.blocks);
  return to_digest(impl_->whole);
}

}  // namespace skerry
