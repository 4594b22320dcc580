#pragma once

// Whether guessed tokens pay: a row that is computed for a guess makes the batch longer, a guess
// that comes true saves a batch. Learned for each answer and for the model, in seconds by what
// batches cost here (StepCost), so that guessing goes off by itself where it does not pay and is
// tried again now and then. ADR 0110.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "step_cost.hpp"

namespace skerry::runtime {

// The share of guesses that come true, the newest weighing most.
class HitRate {
 public:
  HitRate(double value, double newest) : value_(value), newest_(newest) {}
  // Of guesses in a row so many came true, then one did not, or there was no other.
  void learn(std::size_t hits, bool missed);
  [[nodiscard]] double value() const { return value_; }
  // How many of `count` in a row can be expected to come true, up to the first that does not.
  [[nodiscard]] double expected(std::size_t count) const;

 private:
  double value_;
  double newest_;
};

// One answer's guesses.
struct Draft {
  // Of the present batch: rows after that of the token that was sampled.
  std::vector<std::int32_t> guess;
  std::size_t hits = 0;  // of them came true
  bool missed = false;   // and the one after those did not
  bool trial = false;    // it is not known to pay
  // Over its life.
  std::uint32_t batches = 0;
  std::uint32_t guessed = 0;
  std::uint32_t accepted = 0;
  std::optional<HitRate> rate;  // nothing before the first guess
  double gained = 0;            // seconds
};

class DraftAccount {
 public:
  // The batch that would be computed without guesses.
  struct Plain {
    std::size_t sequences = 0;  // that generate: a row each
    double seconds = 0;         // it takes
  };

  // How many of at most `most` guesses a sequence should make beside `rows` others, its own token
  // and earlier guesses included; whether as a trial is noted in it. `limit`: longest batch.
  std::size_t choose(Draft& draft,
                     std::size_t most,
                     std::size_t rows,
                     const Plain& plain,
                     const StepCost& cost,
                     double limit);
  // A batch without guesses.
  void plain_batch(double seconds);
  // A batch with guesses of this sequence, which took `extra` seconds more for them.
  void settle(Draft& draft, double extra, const Plain& plain);
  // Whether the next batch may have guesses: not after one that failed, and not for ever, since
  // what a batch costs without them has to be known.
  [[nodiscard]] bool open() const { return in_a_row_ < kMostInARow; }
  void count_batch() { ++in_a_row_; }
  void rest() { in_a_row_ = kMostInARow; }
  [[nodiscard]] double hit_rate() const { return rate_.value(); }

 private:
  static constexpr std::size_t kMostInARow = 32;
  // Of all answers of late: where a new one begins.
  static constexpr double kFirstRate = 0.5;
  static constexpr double kNewest = 1.0 / 32;

  HitRate rate_{kFirstRate, kNewest};
  std::optional<double> allowance_;  // seconds that trials may lose
  std::size_t in_a_row_ = 0;
};

}  // namespace skerry::runtime
