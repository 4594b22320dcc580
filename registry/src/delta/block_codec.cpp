#include "block_codec.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "block_formats.hpp"

namespace skerry::registry::delta {
namespace {

constexpr std::size_t kGroup = 32;
constexpr std::size_t kFloatGroup = 64;

// Contexts of one family of codings. Codes: where the prediction lies (40) × scale against the
// reference (6) × how much changed lately (3).
constexpr unsigned kPlaces = 40;
constexpr unsigned kScaleClasses = 6;
constexpr unsigned kActivities = 3;
static_assert(std::size_t{kPlaces} * kScaleClasses * kActivities <= kBatchContexts);
constexpr unsigned kClassContext = kBatchContexts;    // 2 fields × 2, of wide values
constexpr unsigned kSignContext = kClassContext + 8;  // 2 fields × 32
constexpr unsigned kTopContext = kSignContext + 64;   // 2 fields × 32
constexpr unsigned kLowContext = kTopContext + 64;    // 2 fields
constexpr unsigned kInnerScaleContext =
    kLowContext + 8;  // which (2) × outer changed (2) × neighbour changed (3)
static_assert(kInnerScaleContext + 12 <= kFamilyContexts);

unsigned family_of(Coding coding) {
  switch (coding) {
    case Coding::kQ4_0:
      return 0;
    case Coding::kQ8_0:
      return 1;
    case Coding::kQ4K:
    case Coding::kQ5K:
      return 2;
    case Coding::kQ6K:
      return 3;
    case Coding::kF16:
    case Coding::kBf16:
      return 4;
    case Coding::kF32:
      return 5;
  }
  return 0;
}

// Recent changes against the long run: fine-tuning moves some rows more than others.
class Activity {
 public:
  [[nodiscard]] unsigned level() const {
    return 3 * fast_ < 2 * slow_ ? 0 : 2 * fast_ > 3 * slow_ ? 2 : 1;
  }
  void add(std::int32_t changed) {
    const std::int32_t value = changed << 10U;
    fast_ += (value - fast_) / 4;
    slow_ += (value - slow_) / 64;
  }

 private:
  std::int32_t fast_ = 0;
  std::int32_t slow_ = 0;
};

// How a group of codes with one scale is predicted.
struct Affine {
  std::int32_t ratio = kFixedOne;
  std::int32_t offset = 0;
  [[nodiscard]] bool same() const { return ratio == kFixedOne && offset == 0; }
};

// Arrays of a block are filled before they are read.
// NOLINTBEGIN(cppcoreguidelines-pro-type-member-init)
template <class Coder>
class Pass {
 public:
  Pass(Coder& coder, Coding coding, std::int32_t reference)
      : coder_(coder), base_(family_of(coding) * kFamilyContexts), reference_(reference) {}

  template <class Format>
  void blocks(ByteView old, std::uint8_t* now) {
    for (std::size_t at = 0; at < old.size(); at += Format::kBytes) {
      block(Format{}, old.data() + at, now + at);
    }
  }

  template <class Format>
  void floats(ByteView old, std::uint8_t* now) {
    using Word = typename Format::Word;
    constexpr std::size_t kBytes = kFloatGroup * sizeof(Word);
    std::size_t at = 0;
    for (; at + kBytes <= old.size(); at += kBytes) {
      float_group<Format>(old.data() + at, now + at);
    }
    if (at < old.size()) {
      // The rest as a group that is filled up with zeros.
      std::array<std::uint8_t, kBytes> old_rest{};
      std::array<std::uint8_t, kBytes> now_rest{};
      const std::size_t left = old.size() - at;
      std::memcpy(old_rest.data(), old.data() + at, left);
      std::memcpy(now_rest.data(), now + at, left);
      float_group<Format>(old_rest.data(), now_rest.data());
      if constexpr (Coder::kDecodes) {
        std::memcpy(now + at, now_rest.data(), left);
      }
    }
  }

 private:
  // A number of any size: its width, its sign, the bits below the highest, in contexts of their
  // own, so that steps of a coarser grid (a bf16 source) cost nothing extra.
  std::int32_t wide(unsigned field, unsigned context, std::int32_t value) {
    const std::uint32_t magnitude = static_cast<std::uint32_t>(value < 0 ? -value : value);
    auto width = static_cast<std::int32_t>(std::bit_width(magnitude));
    // Widths 0 to 17 on the folded alphabet of 15: positive numbers would waste half of it.
    width = unfold_width(
        coder_.residual(base_ + kClassContext + 4 * field + context, fold_width(width)));
    if (width == 0) {
      return 0;
    }
    const auto w = static_cast<unsigned>(width);
    const bool negative =
        coder_.residual(base_ + kSignContext + 32 * field + w, value < 0 ? 1 : 0) != 0;
    std::uint32_t low = magnitude & ((1U << (w - 1)) - 1);
    // Three bits below the highest, then the rest.
    const unsigned rest = w > 4 ? w - 4 : 0;
    const auto top = static_cast<std::uint32_t>(coder_.residual(
        base_ + kTopContext + 32 * field + w, static_cast<std::int32_t>(low >> rest)));
    low = (top << rest) | (rest == 0 ? 0
                                     : static_cast<std::uint32_t>(coder_.residual(
                                           base_ + kLowContext + field,
                                           static_cast<std::int32_t>(low & ((1U << rest) - 1)))));
    const auto result = static_cast<std::int32_t>(1U << (w - 1) | low);
    return negative ? -result : result;
  }
  static std::int32_t fold_width(std::int32_t width) { return width <= 7 ? width : 7 - width; }
  static std::int32_t unfold_width(std::int32_t folded) {
    return std::clamp(folded >= 0 ? folded : 7 - folded, 0, 18);
  }

  // A binary16 scale.
  std::uint16_t scale(unsigned field, std::uint16_t old, std::uint16_t now) {
    const std::int32_t before = half_to_ordinal(old);
    const std::int32_t change =
        wide(field, scale_changed_[field] ? 1 : 0, half_to_ordinal(now) - before);
    scale_changed_[field] = change != 0;
    return ordinal_to_half(before + change);
  }

  [[nodiscard]] unsigned scale_class(std::int32_t log) const {
    return static_cast<unsigned>(std::clamp(log - reference_ + 3, 0, 5));
  }

  // N codes between kLow and kHigh under one scale: `codes` are the old ones, `now` is read or
  // written.
  template <std::int32_t kLow, std::int32_t kHigh, std::size_t N>
  void codes(const Affine& affine,
             std::int32_t log,
             const std::array<std::int32_t, N>& old,
             std::array<std::int32_t, N>& now) {
    constexpr int kSpan = kHigh - kLow + 1;
    constexpr int kPerClass = kSpan <= 16 ? 1 : (kSpan + 15) / 16;
    const unsigned base = base_ + (scale_class(log) * kActivities + activity_.level()) * kPlaces;
    std::array<std::uint16_t, N> contexts;
    std::array<std::int32_t, N> predicted;
    if (affine.same()) {
      for (std::size_t i = 0; i < N; ++i) {
        predicted[i] = old[i];
        contexts[i] = static_cast<std::uint16_t>(
            base + 16 + static_cast<unsigned>((old[i] - kLow) / kPerClass));
      }
    } else {
      for (std::size_t i = 0; i < N; ++i) {
        const std::int32_t x = old[i] * affine.ratio + affine.offset;
        const std::int32_t rounded = (x + kFixedOne / 2) >> 16;
        const std::int32_t inside = std::clamp(rounded, kLow, kHigh);
        const std::int32_t place =
            std::clamp((x - inside * kFixedOne + kFixedOne / 2) >> 12, 0, 15);
        const std::int32_t edge = old[i] == kLow ? 32 + place / 4 : 36 + place / 4;
        predicted[i] = inside;
        contexts[i] = static_cast<std::uint16_t>(
            base + static_cast<unsigned>(old[i] == kLow || old[i] == kHigh ? edge : place));
      }
    }
    std::array<std::int32_t, N> residuals;
    if constexpr (!Coder::kDecodes) {
      for (std::size_t i = 0; i < N; ++i) {
        residuals[i] = now[i] - predicted[i];
      }
    }
    coder_.residuals(contexts, residuals);
    std::int32_t changed = 0;
    for (std::size_t i = 0; i < N; ++i) {
      changed += residuals[i] != 0 ? 1 : 0;
      // Any residual may come from outside: modular, and packing takes the low bits.
      now[i] = static_cast<std::int32_t>(static_cast<std::uint32_t>(predicted[i]) +
                                         static_cast<std::uint32_t>(residuals[i]));
    }
    activity_.add(changed);
  }

  void block(Q4Zero /*format*/, const std::uint8_t* old, std::uint8_t* now) {
    const std::uint16_t before = load16(old);
    const std::uint16_t after = scale(0, before, load16(now));
    std::array<std::int32_t, kGroup> from;
    std::array<std::int32_t, kGroup> to;
    Q4Zero::unpack(old, from);
    if constexpr (!Coder::kDecodes) {
      Q4Zero::unpack(now, to);
    }
    codes<-8, 7>(ratio_of(before, after), quarter_log(from_half(after)), from, to);
    if constexpr (Coder::kDecodes) {
      store16(now, after);
      Q4Zero::pack(to, now);
    }
  }

  void block(Q8Zero /*format*/, const std::uint8_t* old, std::uint8_t* now) {
    const std::uint16_t before = load16(old);
    const std::uint16_t after = scale(0, before, load16(now));
    std::array<std::int32_t, kGroup> from;
    std::array<std::int32_t, kGroup> to;
    Q8Zero::unpack(old, from);
    if constexpr (!Coder::kDecodes) {
      Q8Zero::unpack(now, to);
    }
    codes<-127, 127>(ratio_of(before, after), quarter_log(from_half(after)), from, to);
    if constexpr (Coder::kDecodes) {
      store16(now, after);
      Q8Zero::pack(to, now);
    }
  }

  static Affine ratio_of(std::uint16_t before, std::uint16_t after) {
    return before == after ? Affine{} : ratio_of(from_half(before), from_half(after));
  }
  static Affine ratio_of(Scaled before, Scaled after) {
    if (after.mantissa == 0) {
      return {};
    }
    return {fixed_quotient(
                before.mantissa, before.exponent - after.exponent, after.mantissa, kRatioLimit),
            0};
  }

  template <unsigned kBits>
  void block(QK<kBits> format, const std::uint8_t* old, std::uint8_t* now) {
    using Format = QK<kBits>;
    KScales before = Format::scales(old);
    KScales after = Format::scales(now);
    const std::uint16_t d = scale(0, before.d, after.d);
    const std::uint16_t m = scale(1, before.m, after.m);
    after.d = d;
    after.m = m;
    inner_scales(before, after);
    if constexpr (Coder::kDecodes) {
      std::memset(now, 0, Format::kBytes);
      Format::store_scales(after, now);
    }
    const Scaled d_old = from_half(before.d);
    const Scaled m_old = from_half(before.m);
    const Scaled d_new = from_half(after.d);
    const Scaled m_new = from_half(after.m);
    for (unsigned j = 0; j < 8; ++j) {
      const Scaled step_old{d_old.mantissa * before.scale[j], d_old.exponent};
      const Scaled step_new{d_new.mantissa * after.scale[j], d_new.exponent};
      Affine affine;
      if (step_new.mantissa != 0) {
        affine = ratio_of(step_old, step_new);
        affine.offset = offset_of({m_new.mantissa * after.minimum[j], m_new.exponent},
                                  {m_old.mantissa * before.minimum[j], m_old.exponent},
                                  step_new);
      }
      std::array<std::int32_t, kGroup> from;
      std::array<std::int32_t, kGroup> to;
      format.unpack(old, j, from);
      if constexpr (!Coder::kDecodes) {
        format.unpack(now, j, to);
      }
      codes<0, (1 << kBits) - 1>(affine, quarter_log(step_new), from, to);
      if constexpr (Coder::kDecodes) {
        format.pack(to, j, now);
      }
    }
  }

  // (plus - minus) / step
  static std::int32_t offset_of(Scaled plus, Scaled minus, Scaled step) {
    const std::int32_t exponent = std::min(plus.exponent, minus.exponent);
    const std::int64_t difference =
        (std::int64_t{plus.mantissa} << static_cast<unsigned>(plus.exponent - exponent)) -
        (std::int64_t{minus.mantissa} << static_cast<unsigned>(minus.exponent - exponent));
    return fixed_quotient(difference, exponent - step.exponent, step.mantissa, kOffsetLimit);
  }

  // A small integer scale under a new outer one.
  std::int32_t inner_scale(unsigned which,
                           const Affine& outer,
                           std::int32_t old,
                           std::int32_t now,
                           std::int32_t low,
                           std::int32_t high,
                           unsigned& changed) {
    const std::int32_t predicted = std::clamp((old * outer.ratio + kFixedOne / 2) >> 16, low, high);
    const unsigned context =
        base_ + kInnerScaleContext + 6 * which + (outer.same() ? 0 : 3) + changed;
    const std::int32_t residual = std::clamp(coder_.residual(context, now - predicted), -256, 256);
    changed = residual == 0 ? 0 : residual < 3 && residual > -3 ? 1 : 2;
    return std::clamp(predicted + residual, low, high);
  }

  void inner_scales(const KScales& before, KScales& after) {
    const Affine scale_ratio = ratio_of(before.d, after.d);
    const Affine minimum_ratio = ratio_of(before.m, after.m);
    unsigned scale_moved = 0;
    unsigned minimum_moved = 0;
    for (unsigned j = 0; j < 8; ++j) {
      after.scale[j] =
          inner_scale(0, scale_ratio, before.scale[j], after.scale[j], 0, 63, scale_moved);
      minimum_moved = scale_moved;
      after.minimum[j] =
          inner_scale(1, minimum_ratio, before.minimum[j], after.minimum[j], 0, 63, minimum_moved);
    }
  }

  void block(Q6K /*format*/, const std::uint8_t* old, std::uint8_t* now) {
    const std::uint16_t before = load16(old + Q6K::kScaleAt);
    const std::uint16_t after = scale(0, before, load16(now + Q6K::kScaleAt));
    std::array<std::int32_t, 16> steps_old;
    std::array<std::int32_t, 16> steps_new;
    const Affine outer = ratio_of(before, after);
    unsigned moved = 0;
    for (std::size_t j = 0; j < 16; ++j) {
      steps_old[j] = static_cast<std::int8_t>(old[Q6K::kInnerAt + j]);
      steps_new[j] = inner_scale(0,
                                 outer,
                                 steps_old[j],
                                 static_cast<std::int8_t>(now[Q6K::kInnerAt + j]),
                                 -128,
                                 127,
                                 moved);
    }
    if constexpr (Coder::kDecodes) {
      std::memset(now, 0, Q6K::kBytes);
      store16(now + Q6K::kScaleAt, after);
    }
    const Scaled d_old = from_half(before);
    const Scaled d_new = from_half(after);
    for (unsigned j = 0; j < 16; ++j) {
      const Scaled step_new{d_new.mantissa * steps_new[j], d_new.exponent};
      const Affine affine =
          before == after && steps_old[j] == steps_new[j]
              ? Affine{}
              : ratio_of(Scaled{d_old.mantissa * steps_old[j], d_old.exponent}, step_new);
      std::array<std::int32_t, 16> from;
      std::array<std::int32_t, 16> to;
      Q6K::unpack(old, j, from);
      if constexpr (!Coder::kDecodes) {
        Q6K::unpack(now, j, to);
      }
      codes<-32, 31>(affine, quarter_log(step_new), from, to);
      if constexpr (Coder::kDecodes) {
        now[Q6K::kInnerAt + j] = static_cast<std::uint8_t>(steps_new[j]);
        Q6K::pack(to, j, now);
      }
    }
  }

  template <class Format>
  void float_group(const std::uint8_t* old, std::uint8_t* now) {
    using Word = typename Format::Word;
    std::array<std::uint16_t, kFloatGroup> contexts;
    std::array<std::uint32_t, kFloatGroup> before;
    std::array<std::int32_t, kFloatGroup> residuals;
    const unsigned base = base_ + activity_.level() * 64;
    for (std::size_t i = 0; i < kFloatGroup; ++i) {
      Word word = 0;
      std::memcpy(&word, old + i * sizeof(Word), sizeof(Word));
      before[i] = Format::to_ordinal(word);
      contexts[i] = static_cast<std::uint16_t>(
          base + static_cast<unsigned>(std::clamp(reference_ - Format::exponent(word) + 8, 0, 63)));
      if constexpr (!Coder::kDecodes) {
        Word after = 0;
        std::memcpy(&after, now + i * sizeof(Word), sizeof(Word));
        residuals[i] = static_cast<std::int32_t>(Format::to_ordinal(after) - before[i]);
      }
    }
    coder_.residuals(contexts, residuals);
    std::int32_t changed = 0;
    for (std::size_t i = 0; i < kFloatGroup; ++i) {
      changed += residuals[i] != 0 ? 1 : 0;
      if constexpr (Coder::kDecodes) {
        const Word word =
            Format::from_ordinal(before[i] + static_cast<std::uint32_t>(residuals[i]));
        std::memcpy(now + i * sizeof(Word), &word, sizeof(Word));
      }
    }
    activity_.add(changed);
  }

  Coder& coder_;
  unsigned base_;
  std::int32_t reference_;
  Activity activity_;
  std::array<bool, 2> scale_changed_{};
};

// NOLINTEND(cppcoreguidelines-pro-type-member-init)

template <class Coder>
void run_pass(
    Coding coding, std::int32_t reference, ByteView old, std::uint8_t* now, Coder& coder) {
  Pass<Coder> pass{coder, coding, reference};
  switch (coding) {
    case Coding::kQ4_0:
      return pass.template blocks<Q4Zero>(old, now);
    case Coding::kQ8_0:
      return pass.template blocks<Q8Zero>(old, now);
    case Coding::kQ4K:
      return pass.template blocks<QK<4>>(old, now);
    case Coding::kQ5K:
      return pass.template blocks<QK<5>>(old, now);
    case Coding::kQ6K:
      return pass.template blocks<Q6K>(old, now);
    case Coding::kF16:
      return pass.template floats<Half>(old, now);
    case Coding::kBf16:
      return pass.template floats<Brain>(old, now);
    case Coding::kF32:
      return pass.template floats<Single>(old, now);
  }
}

// The scale of the block at `block`, on the scale of `quarter_log`, or a float's exponent.
std::int32_t scale_of(Coding coding, const std::uint8_t* block) {
  switch (coding) {
    case Coding::kQ4_0:
    case Coding::kQ8_0:
      return quarter_log(from_half(load16(block)));
    case Coding::kQ4K:
    case Coding::kQ5K: {
      const KScales scales = QK<4>::scales(block);
      const Scaled d = from_half(scales.d);
      return quarter_log({d.mantissa * scales.scale[0], d.exponent});
    }
    case Coding::kQ6K: {
      const Scaled d = from_half(load16(block + Q6K::kScaleAt));
      return quarter_log({d.mantissa * static_cast<std::int8_t>(block[Q6K::kInnerAt]), d.exponent});
    }
    case Coding::kF16:
      return Half::exponent(load16(block));
    case Coding::kBf16:
      return Brain::exponent(load16(block));
    case Coding::kF32: {
      std::uint32_t word = 0;
      std::memcpy(&word, block, sizeof(word));
      return Single::exponent(word);
    }
  }
  return 0;
}

}  // namespace

std::optional<std::size_t> coding_unit(std::uint8_t coding) {
  switch (static_cast<Coding>(coding)) {
    case Coding::kQ4_0:
      return Q4Zero::kBytes;
    case Coding::kQ8_0:
      return Q8Zero::kBytes;
    case Coding::kQ4K:
      return QK<4>::kBytes;
    case Coding::kQ5K:
      return QK<5>::kBytes;
    case Coding::kQ6K:
      return Q6K::kBytes;
    case Coding::kF16:
    case Coding::kBf16:
      return 2;
    case Coding::kF32:
      return 4;
  }
  return std::nullopt;
}

std::int32_t reference_scale(Coding coding, ByteView now) {
  constexpr std::size_t kSamples = 1024;
  const std::size_t unit = *coding_unit(static_cast<std::uint8_t>(coding));
  const std::size_t blocks = now.size() / unit;
  std::vector<std::int32_t> scales;
  for (std::size_t i = 0; i < std::min(blocks, kSamples); ++i) {
    scales.push_back(
        scale_of(coding, now.data() + unit * (i * blocks / std::min(blocks, kSamples))));
  }
  if (scales.empty()) {
    return 0;
  }
  const auto middle = scales.begin() + static_cast<std::ptrdiff_t>(scales.size() / 2);
  std::nth_element(scales.begin(), middle, scales.end());
  return *middle;
}

void record_blocks(
    Coding coding, std::int32_t reference, ByteView old, ByteView now, SymbolRecorder& recorder) {
  // A recording pass only reads `now`.
  run_pass(coding, reference, old, const_cast<std::uint8_t*>(now.data()), recorder);
}

void read_blocks(Coding coding,
                 std::int32_t reference,
                 ByteView old,
                 std::span<std::uint8_t> now,
                 SymbolReader& reader) {
  run_pass(coding, reference, old, now.data(), reader);
}

}  // namespace skerry::registry::delta
