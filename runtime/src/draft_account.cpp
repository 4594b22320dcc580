#include "draft_account.hpp"

#include <algorithm>

namespace skerry::runtime {
namespace {

// Of an answer. Larger follows a change sooner and takes a run of bad luck for one.
constexpr double kNewestOfAnswer = 0.1;
// Guesses that make up four rows with the token itself: kernels compute rows in fours, so that this
// may cost less than any estimate from fewer rows says.
constexpr std::size_t kQuad = 3;
// Trials may lose this share of the time that batches take, and at first, or saved up, as much as
// so many of them.
constexpr double kTrialShare = 0.005;
constexpr double kTrialBatches = 4;
// Expected gains below this share of a batch are noise.
constexpr double kLeastGain = 0.02;
// What an answer has gained covers later losses up to so many batches.
constexpr double kGainBatches = 4;

}  // namespace

void HitRate::learn(std::size_t hits, bool missed) {
  for (std::size_t i = 0; i < hits; ++i) {
    value_ += newest_ * (1 - value_);
  }
  if (missed) {
    value_ -= newest_ * value_;
  }
}

double HitRate::expected(std::size_t count) const {
  double sum = 0;
  double all = 1;
  for (std::size_t i = 0; i < count; ++i) {
    all *= value_;
    sum += all;
  }
  return sum;
}

std::size_t DraftAccount::choose(Draft& draft,
                                 std::size_t most,
                                 std::size_t rows,
                                 const Plain& plain,
                                 const StepCost& cost,
                                 double limit) {
  const auto before = cost.seconds(rows, 0);
  if (!before || plain.sequences == 0) {
    return 0;
  }
  const HitRate rate = draft.rate.value_or(HitRate{rate_.value(), kNewestOfAnswer});
  const double worth = plain.seconds / static_cast<double>(plain.sequences);
  const auto extra = [&](std::size_t count) {
    return std::max(*cost.seconds(rows + count, 0) - *before, 0.0);
  };
  std::size_t best = 0;
  double gain = 0;
  for (std::size_t count = 1; count <= most; ++count) {
    const double expected = rate.expected(count) * worth - extra(count);
    if (*before + extra(count) <= limit && (best == 0 || expected > gain)) {
      best = count;
      gain = expected;
    }
  }
  draft.trial = gain < kLeastGain * plain.seconds || draft.gained < 0;
  if (!draft.trial || best == 0) {
    return best;
  }
  const double may_lose = std::min(allowance_.value_or(0), limit - *before);
  if (most >= kQuad && !cost.seen(rows + kQuad) && extra(kQuad) <= may_lose) {
    return kQuad;
  }
  return extra(best) <= may_lose ? best : 0;
}

void DraftAccount::plain_batch(double seconds) {
  in_a_row_ = 0;
  const double most = kTrialBatches * seconds;
  allowance_ = std::min(allowance_.value_or(most) + kTrialShare * seconds, most);
}

void DraftAccount::settle(Draft& draft, double extra, const Plain& plain) {
  const double worth =
      plain.seconds / static_cast<double>(std::max<std::size_t>(plain.sequences, 1));
  const double gain = static_cast<double>(draft.hits) * worth - extra;
  if (!draft.rate) {
    draft.rate = HitRate{rate_.value(), kNewestOfAnswer};
  }
  draft.rate->learn(draft.hits, draft.missed);
  rate_.learn(draft.hits, draft.missed);
  // One slow batch, for whatever reason, is not held against anybody for long.
  if (draft.trial && gain < 0) {
    allowance_ = std::max(allowance_.value_or(0) + gain, -plain.seconds);
  } else {
    draft.gained = std::clamp(draft.gained + gain, -plain.seconds, kGainBatches * plain.seconds);
  }
}

}  // namespace skerry::runtime
