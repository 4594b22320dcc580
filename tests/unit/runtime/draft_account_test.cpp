// Guessing goes on where it pays and off where it does not.
#include "draft_account.hpp"

#include <functional>

#include <gtest/gtest.h>

namespace skerry::runtime {
namespace {

using Seconds = std::chrono::duration<double>;

// One answer after the other on a machine where a batch of n rows takes `time(n)`.
class Machine {
 public:
  explicit Machine(std::function<double(std::size_t)> time) : time_(std::move(time)) {}

  // So many tokens, each of which is as it was guessed if `is_hit` says so.
  void answer(std::size_t tokens, const std::function<bool(std::size_t)>& is_hit) {
    Draft draft;
    for (std::size_t token = 0; token < tokens;) {
      const DraftAccount::Plain plain{.sequences = 1, .seconds = cost_.seconds(1, 0).value_or(0)};
      std::size_t count = 0;
      if (plain.seconds > 0 && account.open()) {
        count = account.choose(draft, 7, 1, plain, cost_, limit);
      }
      const double took = time_(1 + count);
      total += took;
      draft.hits = 0;
      while (draft.hits < count && is_hit(token + draft.hits)) {
        ++draft.hits;
      }
      draft.missed = draft.hits < count;
      draft.guess.assign(count, 0);
      cost_.learn({.rows = 1 + count,
                   .generating = 1 + count,
                   .drafted = count,
                   .time = std::chrono::duration_cast<std::chrono::nanoseconds>(Seconds{took})});
      if (count == 0) {
        account.plain_batch(took);
      } else {
        account.count_batch();
        account.settle(draft, took - plain.seconds, plain);
        longest = std::max(longest, count);
        ++drafts;
      }
      token += 1 + draft.hits;
      alone += static_cast<double>(1 + draft.hits) * time_(1);
    }
  }

  DraftAccount account;
  double limit = 0.15;
  double total = 0;  // seconds
  double alone = 0;  // the same without guesses
  std::size_t drafts = 0;
  std::size_t longest = 0;

 private:
  std::function<double(std::size_t)> time_;
  StepCost cost_;
};

// As llama.cpp was measured (field notes on serving): 3 rows cost more than 4.
double row_time(std::size_t rows) {
  constexpr double kTimes[] = {0, 0.020, 0.033, 0.043, 0.037};
  return rows <= 4 ? kTimes[rows] : 0.037 + 0.008 * static_cast<double>(rows - 4);
}

TEST(DraftAccount, CostsNextToNothingWhereNothingComesTrue) {
  Machine machine{row_time};
  for (int i = 0; i < 20; ++i) {
    machine.answer(256, [](std::size_t) { return false; });
  }
  EXPECT_LT(machine.total, 1.01 * machine.alone);
  EXPECT_GT(machine.drafts, 5U) << "it is tried again";
}

TEST(DraftAccount, AFewHitsDoNotPay) {
  Machine machine{row_time};
  for (int i = 0; i < 20; ++i) {
    machine.answer(256, [](std::size_t token) { return token * 7919 % 10 < 3; });
  }
  EXPECT_LT(machine.total, 1.02 * machine.alone);
}

TEST(DraftAccount, PaysWhereTextsRepeat) {
  Machine machine{row_time};
  machine.answer(512, [](std::size_t token) { return token % 32 != 0; });
  EXPECT_LT(machine.total, 0.65 * machine.alone);
  EXPECT_EQ(machine.longest, 7U);
}

TEST(DraftAccount, GoesOnWithinAnAnswerThatBeginsToRepeat) {
  Machine machine{row_time};
  machine.answer(4096, [](std::size_t token) { return token > 2048; });
  EXPECT_LT(machine.total, 0.8 * machine.alone);
}

TEST(DraftAccount, NeverPaysWhereRowsCostAsMuchAsBatches) {
  Machine machine{[](std::size_t rows) { return 0.01 * static_cast<double>(rows); }};
  machine.answer(4096, [](std::size_t) { return true; });
  EXPECT_LT(machine.total, 1.02 * machine.alone);
}

TEST(DraftAccount, NoBatchIsExpectedToTakeLongerThanTheLimit) {
  Machine machine{row_time};
  machine.limit = 0.040;
  machine.answer(2048, [](std::size_t) { return true; });
  EXPECT_LE(machine.longest, 3U);
  machine.limit = 0.019;
  const std::size_t before = machine.drafts;
  machine.answer(256, [](std::size_t) { return true; });
  EXPECT_EQ(machine.drafts, before);
}

TEST(DraftAccount, AnswersDoNotSpoilEachOther) {
  Machine machine{row_time};
  for (int i = 0; i < 20; ++i) {
    machine.answer(256, [i](std::size_t) { return i % 2 == 0; });
  }
  EXPECT_LT(machine.total, 0.85 * machine.alone);
}

TEST(DraftAccount, AfterAFailureTheNextBatchIsPlain) {
  DraftAccount account;
  EXPECT_TRUE(account.open());
  account.rest();
  EXPECT_FALSE(account.open());
  account.plain_batch(0.02);
  EXPECT_TRUE(account.open());
}

}  // namespace
}  // namespace skerry::runtime
