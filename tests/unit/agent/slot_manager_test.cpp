#include "skerry/agent/slot_manager.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "activation_rig.hpp"

namespace skerry::agent {
namespace {

using activation::is_resting;
using activation::Offer;
using activation::State;
using test::Node;
using test::Publisher;
using ::testing::HasSubstr;

Offer offer_of(const std::string& target, std::uint64_t generation) {
  Offer offer;
  offer.generation = generation;
  offer.target = target;
  return offer;
}

class SlotManagerTest : public ::testing::Test {
 protected:
  using Record = activation::Record;

  // Runs a fresh node until the slot rests (or `until`), offering `target` first if given.
  Record run(const std::string& target,
             std::uint64_t generation,
             std::optional<State> until = std::nullopt) {
    Node node{dir_ / "state", publisher_};
    if (prepare) {
      prepare(node);
    }
    Record last;
    node.run(
        [&](Node& running) {
          if (!target.empty()) {
            running.slots->offer("default", offer_of(target, generation));
          }
        },
        [&](const SlotView& view) {
          last = view.record;
          return until ? view.record.state == *until : is_resting(view.record.state);
        });
    seen = node.seen;
    return last;
  }

  // Offers `target`, whose worker dies three times in its trial.
  Record crash_in_probation(const std::string& target) {
    Node node{dir_ / "state", publisher_};
    if (prepare) {
      prepare(node);
    }
    Record last;
    node.run([&](Node& running) { running.slots->offer("default", offer_of(target, 2)); },
             [&](const SlotView& view) {
               last = view.record;
               if (view.record.state == State::kProbation && view.record.unclean_exits == 0) {
                 runtime::WorkerExit exit;
                 exit.model = node.host->in_slot("default")->weights;
                 for (int i = 0; i < 3; ++i) {
                   node.slots->worker_exited(exit);
                 }
               }
               return view.record.state == State::kRolledBack ||
                      view.record.state == State::kCommitted;
             });
    return last;
  }

  std::string active_version() {
    SystemClock clock;
    auto catalogue = registry::Catalogue::open(dir_ / "state/registry.db", clock);
    EXPECT_TRUE(catalogue);
    auto slot = (*catalogue)->slot(SlotName{"default"});
    return slot && slot->active ? slot->active->version : "";
  }

  test::TempDir dir_;
  Publisher publisher_{dir_ / "repo"};
  std::function<void(Node&)> prepare;
  std::vector<State> seen;
};

TEST_F(SlotManagerTest, TakesASignedModelThroughEveryState) {
  const std::string target = publisher_.release("1.0.0", 1);
  const Record record = run(target, 1);
  EXPECT_EQ(record.state, State::kCommitted) << record.reason;
  EXPECT_THAT(seen,
              testing::ElementsAre(State::kOffered,
                                   State::kFetching,
                                   State::kVerified,
                                   State::kStaged,
                                   State::kGating,
                                   State::kActivating,
                                   State::kProbation,
                                   State::kCommitted));
  EXPECT_EQ(active_version(), "1.0.0");
}

TEST_F(SlotManagerTest, AStopInAnyStateIsResumedByTheNextStart) {
  for (const State stop : {State::kOffered,
                           State::kFetching,
                           State::kVerified,
                           State::kStaged,
                           State::kGating,
                           State::kActivating,
                           State::kProbation}) {
    const auto number = static_cast<std::uint64_t>(stop) + 1;
    const std::string version = "1." + std::to_string(number) + ".0";
    const std::string target = publisher_.release(version, number);
    const Record stopped = run(target, number, stop);
    ASSERT_EQ(stopped.state, stop);
    const Record resumed = run("", 0);
    EXPECT_EQ(resumed.state, State::kCommitted) << to_string(stop) << ": " << resumed.reason;
    EXPECT_EQ(resumed.offer.generation, number) << to_string(stop);
    EXPECT_EQ(active_version(), version) << to_string(stop);
  }
}

TEST_F(SlotManagerTest, AModelThatFailsItsGoldenSetIsQuarantinedAndTheOldOneStays) {
  run(publisher_.release("1.0.0", 1), 1);
  const std::string wrong = publisher_.release("1.1.0", 2, "something else");
  const Record record = run(wrong, 2);
  EXPECT_EQ(record.state, State::kQuarantined);
  EXPECT_EQ(record.reason_code, "gate_failed");
  EXPECT_THAT(record.reason, HasSubstr("0 of 1 answers match"));
  EXPECT_EQ(active_version(), "1.0.0");
  // It is remembered: the same manifest is refused before anything is loaded.
  const Record again = run(wrong, 3);
  EXPECT_EQ(again.state, State::kRejected);
  EXPECT_EQ(again.reason_code, "quarantined");
}

TEST_F(SlotManagerTest, AVariantThatCannotBeLoadedMakesRoomForTheNext) {
  prepare = [](Node& node) { node.supervisor->broken_loads = 1; };
  const Record record = run(publisher_.release("1.0.0", 1, "ping", {"one", "two", "three"}), 1);
  EXPECT_EQ(record.state, State::kCommitted) << record.reason;
  ASSERT_EQ(record.failed_variants.size(), 1U);
  EXPECT_NE(record.variant, record.failed_variants.front());
  SystemClock clock;
  auto catalogue = registry::Catalogue::open(dir_ / "state/registry.db", clock);
  const auto bad = (*catalogue)->list_bad();
  ASSERT_TRUE(bad);
  ASSERT_EQ(bad->size(), 1U);
  EXPECT_EQ(bad->front().variant, record.failed_variants.front());
  EXPECT_THAT(bad->front().reason, HasSubstr("killed by signal 6"));
}

TEST_F(SlotManagerTest, AVersionThatIsWrongInEveryVariantIsQuarantined) {
  const Record record = run(publisher_.release("1.0.0", 1, "else", {"a", "b", "c", "d"}), 1);
  EXPECT_EQ(record.state, State::kQuarantined);
  EXPECT_EQ(record.reason_code, "gate_failed");
  EXPECT_EQ(record.failed_variants.size(), 3U) << "the fourth is not fetched";
}

TEST_F(SlotManagerTest, AModelThatCannotBeLoadedIsQuarantined) {
  prepare = [](Node& node) {
    node.supervisor->load_error = Error{Error::Code::kWorkerLost, "killed by signal 6"};
  };
  const Record record = run(publisher_.release("1.0.0", 1), 1);
  EXPECT_EQ(record.state, State::kQuarantined);
  EXPECT_EQ(active_version(), "");
}

TEST_F(SlotManagerTest, WhatTheRepositoryNeverSignedIsRejected) {
  const Record record = run("models/acme/echo/9.9.9", 1);
  EXPECT_EQ(record.state, State::kRejected);
  EXPECT_EQ(record.reason_code, "not_found");
}

TEST_F(SlotManagerTest, AnOfferThatNamesAnotherManifestIsRejected) {
  const std::string target = publisher_.release("1.0.0", 1);
  Node node{dir_ / "state", publisher_};
  Record last;
  node.run(
      [&](Node& running) {
        Offer offer = offer_of(target, 1);
        offer.manifest_digest = Digest::of("other").to_string();
        running.slots->offer("default", offer);
      },
      [&](const SlotView& view) {
        last = view.record;
        return is_resting(view.record.state);
      });
  EXPECT_EQ(last.state, State::kRejected);
  EXPECT_EQ(last.reason_code, "metadata_mismatch");
}

TEST_F(SlotManagerTest, OneStuckSlotDoesNotBlockAnother) {
  const std::string target = publisher_.release("1.0.0", 1);
  Node node{dir_ / "state", publisher_};
  node.run(
      [&](Node& running) {
        // Its deadline is far away; nothing will ever come for it.
        running.slots->offer("stuck", offer_of("models/acme/missing/1.0.0", 1));
        running.slots->offer("default", offer_of(target, 1));
      },
      [&](const SlotView& view) {
        return view.slot == "default" && view.record.state == State::kCommitted;
      });
  EXPECT_EQ(active_version(), "1.0.0");
}

TEST_F(SlotManagerTest, ThreeWorkerCrashesInProbationRollBack) {
  run(publisher_.release("1.0.0", 1), 1);
  const Record last = crash_in_probation(publisher_.release("1.1.0", 2));
  EXPECT_EQ(last.state, State::kRolledBack) << last.reason;
  EXPECT_EQ(active_version(), "1.0.0");
}

TEST_F(SlotManagerTest, AFailedTrialDoesNotReviveWhatNobodyVouchesForAnyMore) {
  run(publisher_.release("1.0.0", 1), 1);
  Digest asked;
  prepare = [&](Node& node) {
    node.installer->on_check_vouched([&](const Digest& manifest) -> Result<void> {
      asked = manifest;
      return Error{Error::Code::kFailedPrecondition, "its signer is off the list"};
    });
  };
  SystemClock clock;
  const Digest before = (*registry::Catalogue::open(dir_ / "state/registry.db", clock))
                            ->slot(SlotName{"default"})
                            ->active->manifest;
  const Record last = crash_in_probation(publisher_.release("1.1.0", 2));
  EXPECT_EQ(last.state, State::kRolledBack) << last.reason;
  EXPECT_EQ(active_version(), "");
  EXPECT_EQ(asked, before);
  auto catalogue = *registry::Catalogue::open(dir_ / "state/registry.db", clock);
  EXPECT_FALSE(catalogue->slot(SlotName{"default"})->previous);
  const auto changes = catalogue->changes_after(0, 100);
  ASSERT_FALSE(changes->empty());
  EXPECT_THAT(changes->back().reason, HasSubstr("its signer is off the list"));
}

constexpr const char* kUpstream =
    R"({"format": "skerry-upstream/1", "model": "m", "order": ["site", "cloud"]})";

TEST_F(SlotManagerTest, AModelOfAServerIsActivatedOnceTheServerHasIt) {
  Node node{dir_ / "state", publisher_};
  const std::string target = publisher_.release_upstream("1.0.0", 1, kUpstream);
  Record last;
  node.run([&](Node& running) { running.slots->offer("default", offer_of(target, 1)); },
           [&](const SlotView& view) {
             last = view.record;
             return is_resting(view.record.state);
           });
  EXPECT_EQ(last.state, State::kCommitted) << last.reason;
  EXPECT_EQ(active_version(), "1.0.0");
  EXPECT_EQ(node.supervisor->loads, 0);
  ASSERT_FALSE(node.upstreams->asked.empty());
  EXPECT_THAT(node.upstreams->asked.front().order,
              testing::ElementsAre(upstream::Tier::kSite, upstream::Tier::kCloud));
}

TEST_F(SlotManagerTest, AServerThatIsAwayRejectsTheOfferAndMarksNothingBad) {
  prepare = [](Node& node) {
    node.upstreams->away = Error{Error::Code::kUnavailable, "gpu: connection refused"};
  };
  const std::string target = publisher_.release_upstream("1.0.0", 1, kUpstream);
  const Record away = run(target, 1);
  EXPECT_EQ(away.state, State::kRejected);
  EXPECT_THAT(away.reason, HasSubstr("gpu: connection refused"));
  EXPECT_EQ(active_version(), "");
  prepare = nullptr;
  const Record back = run(target, 2);
  EXPECT_EQ(back.state, State::kCommitted) << back.reason;
}

TEST_F(SlotManagerTest, ADescriptionThatCannotBeReadIsNotAdmitted) {
  const Record record =
      run(publisher_.release_upstream("1.0.0", 1, R"({"format": "skerry-upstream/1"})"), 1);
  EXPECT_NE(record.state, State::kCommitted);
  EXPECT_EQ(record.reason_code, "model_format") << record.reason;
}

TEST_F(SlotManagerTest, ACheckThatCannotBeMadeIsMadeAgainAndBarsNothing) {
  run(publisher_.release("1.0.0", 1), 1);
  int asked = 0;
  prepare = [&](Node& node) {
    node.installer->on_check_vouched([&](const Digest&) -> Result<void> {
      ++asked;
      return asked > 2 ? Result<void>{} : Error{Error::Code::kIo, "input/output error"};
    });
  };
  const Record last = crash_in_probation(publisher_.release("1.1.0", 2));
  EXPECT_EQ(last.state, State::kRolledBack) << last.reason;
  EXPECT_EQ(active_version(), "1.0.0");
  EXPECT_EQ(asked, 3);
}

}  // namespace
}  // namespace skerry::agent
