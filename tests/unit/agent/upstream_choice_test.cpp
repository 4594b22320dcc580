// Who gets the next request: rows of endpoints and what happened to them.
#include "skerry/agent/upstream_choice.hpp"

#include <gmock/gmock.h>

namespace skerry::agent::upstream {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::size_t kLaptop = 0;
constexpr std::size_t kGpuA = 1;
constexpr std::size_t kGpuB = 2;
constexpr std::size_t kCloud = 3;
const std::vector<Tier> kAll{Tier::kLocal, Tier::kSite, Tier::kCloud};

class UpstreamBook : public ::testing::Test {
 protected:
  UpstreamBook()
      : book_({{"laptop", Tier::kLocal, 1},
               {"gpu-a", Tier::kSite, 2},
               {"gpu-b", Tier::kSite, 4},
               {"cloud", Tier::kCloud, 8}},
              BookTimes{}) {
    for (std::size_t i = 0; i < 4; ++i) {
      book_.probed(i, Probe{}, now_);
    }
  }

  [[nodiscard]] Choice choose(const std::vector<Tier>& order,
                              bool spill = false,
                              const std::set<std::size_t>& tried = {}) const {
    return book_.choose(order, spill, able_, tried, now_);
  }
  // The endpoint, or -1: wait, -2: none.
  [[nodiscard]] int pick(const std::vector<Tier>& order,
                         bool spill = false,
                         const std::set<std::size_t>& tried = {}) const {
    const Choice choice = choose(order, spill, tried);
    switch (choice.what) {
      case Choice::What::kUse:
        return static_cast<int>(choice.endpoint);
      case Choice::What::kWait:
        return -1;
      case Choice::What::kNone:
        break;
    }
    return -2;
  }
  void lose(std::size_t endpoint) {
    book_.started(endpoint);
    book_.ended(endpoint, Outcome{Blame::kLost, "connection refused", {}, {}}, now_);
  }

  BootTime now_{seconds{1000}};
  Book book_;
  Book::Able able_ = [](const EndpointState&) { return Result<void>{}; };
};

TEST_F(UpstreamBook, FirstTierThatIsWellAnswers) {
  EXPECT_EQ(pick(kAll), static_cast<int>(kLaptop));
  EXPECT_EQ(pick({Tier::kCloud, Tier::kLocal}), static_cast<int>(kCloud));
  lose(kLaptop);
  EXPECT_EQ(pick(kAll), static_cast<int>(kGpuA));
  lose(kGpuA);
  EXPECT_EQ(pick(kAll), static_cast<int>(kGpuB));
  lose(kGpuB);
  EXPECT_EQ(pick(kAll), static_cast<int>(kCloud));
}

TEST_F(UpstreamBook, NothingLeavesTheTiersOfTheSignedOrder) {
  lose(kLaptop);
  const Choice choice = choose({Tier::kLocal});
  EXPECT_EQ(choice.what, Choice::What::kNone);
  EXPECT_EQ(choice.error.code(), Error::Code::kUnavailable);
  EXPECT_THAT(choice.error.message(), HasSubstr("laptop: connection refused"));
}

TEST_F(UpstreamBook, ABusyTierIsWaitedForUnlessItMaySpill) {
  book_.started(kLaptop);
  EXPECT_EQ(pick(kAll), -1);
  EXPECT_EQ(pick(kAll, true), static_cast<int>(kGpuA));
  book_.ended(kLaptop, Outcome{}, now_);
  EXPECT_EQ(pick(kAll), static_cast<int>(kLaptop));
}

TEST_F(UpstreamBook, SpillingEverywhereStillWaitsInTheEnd) {
  book_.started(kLaptop);
  EXPECT_EQ(pick({Tier::kLocal}, true), -1);
}

TEST_F(UpstreamBook, OfATierTheLeastLoadedForItsSizeAnswers) {
  book_.started(kGpuA);  // 1 of 2
  EXPECT_EQ(pick({Tier::kSite}), static_cast<int>(kGpuB));
  book_.started(kGpuB);  // 1 of 4
  EXPECT_EQ(pick({Tier::kSite}), static_cast<int>(kGpuB));
  book_.started(kGpuB);
  book_.started(kGpuB);  // 3 of 4
  EXPECT_EQ(pick({Tier::kSite}), static_cast<int>(kGpuA));
}

TEST_F(UpstreamBook, WhatOthersDoThereCounts) {
  book_.probed(kGpuA, Probe{std::nullopt, 6.0}, now_);
  EXPECT_EQ(pick({Tier::kSite}), static_cast<int>(kGpuB));
  // Our own requests are in that figure, and are not counted twice.
  book_.started(kGpuB);
  book_.probed(kGpuB, Probe{std::nullopt, 1.0}, now_);
  book_.probed(kGpuA, Probe{std::nullopt, 0.4}, now_);
  EXPECT_EQ(pick({Tier::kSite}), static_cast<int>(kGpuA));
}

TEST_F(UpstreamBook, OfEqualsTheOneThatAnswersSooner) {
  book_.started(kGpuA);
  book_.ended(kGpuA, Outcome{std::nullopt, "", {}, milliseconds{400}}, now_);
  book_.started(kGpuB);
  book_.ended(kGpuB, Outcome{std::nullopt, "", {}, milliseconds{100}}, now_);
  EXPECT_EQ(pick({Tier::kSite}), static_cast<int>(kGpuB));
}

TEST_F(UpstreamBook, OneThatWasTriedIsNotTriedAgain) {
  EXPECT_EQ(pick({Tier::kSite}, false, {kGpuA}), static_cast<int>(kGpuB));
  EXPECT_EQ(pick({Tier::kSite}, false, {kGpuA, kGpuB}), -2);
  EXPECT_EQ(pick(kAll, false, {kLaptop}), static_cast<int>(kGpuA));
}

TEST_F(UpstreamBook, ABusyAnswerIsObeyedForAsLongAsItSays) {
  book_.started(kLaptop);
  book_.ended(kLaptop, Outcome{Blame::kBusy, "busy", seconds{5}, {}}, now_);
  EXPECT_EQ(pick(kAll), -1) << "it is well: the next tier is not asked";
  now_ += seconds{4};
  EXPECT_EQ(pick(kAll), -1);
  now_ += seconds{2};
  EXPECT_EQ(pick(kAll), static_cast<int>(kLaptop));
}

TEST_F(UpstreamBook, ThreeFailedAnswersInARowAreOneTooMany) {
  for (int i = 0; i < 2; ++i) {
    book_.started(kLaptop);
    book_.ended(kLaptop, Outcome{Blame::kServer, "status 500", {}, {}}, now_);
  }
  EXPECT_EQ(pick(kAll), static_cast<int>(kLaptop));
  book_.started(kLaptop);
  book_.ended(kLaptop, Outcome{Blame::kRequest, "bad", {}, {}}, now_);
  for (int i = 0; i < 2; ++i) {
    book_.started(kLaptop);
    book_.ended(kLaptop, Outcome{Blame::kServer, "status 500", {}, {}}, now_);
  }
  EXPECT_EQ(pick(kAll), static_cast<int>(kLaptop)) << "a refused request shows that it is there";
  book_.started(kLaptop);
  book_.ended(kLaptop, Outcome{Blame::kServer, "status 500", {}, {}}, now_);
  EXPECT_EQ(pick(kAll), static_cast<int>(kGpuA));
}

TEST_F(UpstreamBook, WhatWeEndedOurselvesIsNoProofOfAnything) {
  for (int i = 0; i < 2; ++i) {
    book_.started(kLaptop);
    book_.ended(kLaptop, Outcome{Blame::kServer, "status 500", {}, {}}, now_);
  }
  book_.started(kLaptop);
  book_.ended(kLaptop, Outcome{std::nullopt, "", {}, {}, true}, now_);
  EXPECT_EQ(book_.endpoints()[kLaptop].in_flight, 0U);
  EXPECT_EQ(book_.endpoints()[kLaptop].answered, 0U);
  EXPECT_EQ(book_.endpoints()[kLaptop].faults, 2U) << "neither a fault nor the end of faults";
}

TEST_F(UpstreamBook, WhoIsDownIsAskedAgainLaterAndLater) {
  lose(kLaptop);
  std::vector<std::int64_t> waits;
  for (int i = 0; i < 8; ++i) {
    const BootTime next = book_.endpoints()[kLaptop].next_probe;
    waits.push_back(std::chrono::duration_cast<seconds>(next - now_).count());
    now_ = next;
    book_.probe_failed(kLaptop, "connection refused", now_);
  }
  EXPECT_THAT(waits, ElementsAre(1, 2, 4, 8, 16, 32, 60, 60));
  book_.probed(kLaptop, Probe{}, now_);
  EXPECT_EQ(pick(kAll), static_cast<int>(kLaptop));
}

TEST_F(UpstreamBook, CallersAreNotToldWhereAServerIs) {
  const std::string where = "connecting to gpu.plant.example:8000: refused";
  Outcome lost{Blame::kLost, where, {}, {}};
  lost.told = "cannot be reached: refused";
  book_.started(kLaptop);
  book_.ended(kLaptop, lost, now_);
  EXPECT_EQ(book_.endpoints()[kLaptop].problem, where);
  EXPECT_EQ(choose({Tier::kLocal}).error.message(),
            "no upstream is well: laptop: cannot be reached: refused");
  for (int i = 0; i < 2; ++i) {
    book_.probe_failed(kCloud, "the key: /etc/cloud.key: not found", now_, "has no usable key");
  }
  EXPECT_EQ(choose({Tier::kCloud}).error.message(),
            "no upstream is well: cloud: has no usable key");
}

TEST_F(UpstreamBook, OneFailedProbeOfAServerThatIsWellIsAHiccup) {
  book_.probe_failed(kLaptop, "timeout", now_);
  EXPECT_EQ(pick(kAll), static_cast<int>(kLaptop));
  EXPECT_EQ(book_.endpoints()[kLaptop].next_probe - now_, seconds{1});
  book_.probe_failed(kLaptop, "timeout", now_);
  EXPECT_EQ(pick(kAll), static_cast<int>(kGpuA));
}

TEST_F(UpstreamBook, WhoCannotAnswerIsNotWaitedFor) {
  able_ = [](const EndpointState& endpoint) -> Result<void> {
    if (endpoint.facts.tier == Tier::kLocal) {
      return Error{Error::Code::kUnimplemented, "it takes no grammar"};
    }
    return {};
  };
  book_.started(kLaptop);
  EXPECT_EQ(pick(kAll), static_cast<int>(kGpuA));
  const Choice choice = choose({Tier::kLocal});
  EXPECT_EQ(choice.what, Choice::What::kNone);
  EXPECT_EQ(choice.error.code(), Error::Code::kUnimplemented);
  EXPECT_THAT(choice.error.message(), HasSubstr("laptop: it takes no grammar"));
}

TEST_F(UpstreamBook, AModelThatNobodyHasNowMayComeLater) {
  able_ = [](const EndpointState&) -> Result<void> {
    return Error{Error::Code::kUnavailable, "does not have \"m\""};
  };
  const Choice choice = choose(kAll);
  EXPECT_EQ(choice.what, Choice::What::kNone);
  EXPECT_EQ(choice.error.code(), Error::Code::kUnavailable);
  EXPECT_THAT(choice.error.message(), HasSubstr("cloud: does not have"));
}

TEST(UpstreamBookStart, AServerThatWasNotAskedYetIsWaitedForUnlessAnotherIsWell) {
  Book book{{{"a", Tier::kSite, 1}, {"b", Tier::kSite, 1}}, BookTimes{}};
  const auto able = [](const EndpointState&) { return Result<void>{}; };
  EXPECT_EQ(book.choose(kAll, false, able, {}, BootTime{}).what, Choice::What::kWait);
  book.probed(1, Probe{}, BootTime{});
  const Choice choice = book.choose(kAll, false, able, {}, BootTime{});
  EXPECT_EQ(choice.what, Choice::What::kUse);
  EXPECT_EQ(choice.endpoint, 1U);
}

TEST_F(UpstreamBook, TheMostOverdueProbeComesFirst) {
  lose(kGpuB);
  ASSERT_TRUE(book_.next_probe());
  EXPECT_EQ(book_.next_probe()->first, kGpuB);
  book_.probing(kGpuB, now_);
  EXPECT_NE(book_.next_probe()->first, kGpuB);
}

TEST(UpstreamBookEmpty, SaysThatNoneIsConfigured) {
  const Book book{{}, BookTimes{}};
  const Choice choice = book.choose(
      kAll, false, [](const EndpointState&) { return Result<void>{}; }, {}, BootTime{});
  EXPECT_EQ(choice.what, Choice::What::kNone);
  EXPECT_THAT(choice.error.message(), HasSubstr("none is configured"));
  EXPECT_FALSE(book.next_probe());
}

TEST(UpstreamWaitingLine, PrincipalsTakeTurnsWithinAClass) {
  WaitingLine line{6};
  using runtime::PriorityClass;
  ASSERT_TRUE(line.push({1, "flood", PriorityClass::kNormal}));
  ASSERT_TRUE(line.push({2, "flood", PriorityClass::kNormal}));
  ASSERT_TRUE(line.push({3, "flood", PriorityClass::kNormal}));
  ASSERT_TRUE(line.push({4, "quiet", PriorityClass::kNormal}));
  ASSERT_TRUE(line.push({5, "late", PriorityClass::kBatch}));
  ASSERT_TRUE(line.push({6, "person", PriorityClass::kInteractive}));
  EXPECT_FALSE(line.push({7, "more", PriorityClass::kInteractive}));
  EXPECT_THAT(line.order([](const std::string&) { return 0U; }), ElementsAre(6, 1, 4, 2, 3, 5));
  EXPECT_THAT(line.order([](const std::string& who) { return who == "flood" ? 2U : 0U; }),
              ElementsAre(6, 4, 1, 2, 3, 5));
  line.remove(6);
  EXPECT_EQ(line.size(), 5U);
}

}  // namespace
}  // namespace skerry::agent::upstream
