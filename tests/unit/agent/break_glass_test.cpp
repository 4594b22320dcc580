// Break-glass opens for root alone, ends by its time, by command and by a restart, and every step
// of it is in the audit log before it counts.

#include "skerry/agent/break_glass.hpp"

#include <functional>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>

#include "fault_file_system.hpp"
#include "temp_dir.hpp"

namespace skerry::agent {
namespace {

using security::Principal;
using security::Verb;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

Caller root_caller() {
  return {Principal::local(0, {0}), "peercred"};
}

// The part of a daemon that break-glass needs; a second one over the same folder is a restart.
class GlassNode {
 public:
  GlassNode(FileSystem& fs, const std::filesystem::path& folder, FakeClock& clock)
      : tasks_(io_.get_executor(), [](const std::string&, const std::string&) {}),
        core_{io_.get_executor(),
              io_.get_executor(),
              [this] { return boost::asio::any_io_executor{io_.get_executor()}; },
              clock,
              fs,
              random_,
              Log{},
              nullptr,
              tasks_} {
    // One key for every start of this gateway.
    static const std::shared_ptr<const security::Signer> key =
        *security::make_memory_signer(security::KeyAlgorithm::kEd25519);
    security::AuditOptions options;
    options.directory = folder / "audit";
    options.origin = "test/log";
    EXPECT_TRUE(system_.create_directories(options.directory, 0750));
    auto log = security::AuditLog::open(fs, options, key, clock);
    EXPECT_TRUE(log) << log.error().to_string();
    log_ = *std::move(log);
    writer_ = std::make_unique<AuditWriter>(core_, *log_);
    glass = std::make_unique<BreakGlass>(core_, *writer_, folder / "break-glass.json");
  }

  template <class T>
  Result<T> wait(Task<Result<T>> task) {
    std::optional<Result<T>> result;
    boost::asio::co_spawn(
        io_, store(std::move(task), result), [](std::exception_ptr error) { EXPECT_FALSE(error); });
    io_.restart();
    while (!result && io_.run_one() > 0) {
    }
    return result ? *std::move(result) : Result<T>{Error{Error::Code::kInternal, "no result"}};
  }
  // Runs the timer's loop until it has nothing to do at once.
  void poll_loop() {
    boost::asio::co_spawn(io_, glass->run(), [](std::exception_ptr) {});
    io_.restart();
    io_.poll();
  }
  std::string records() {
    std::string all;
    auto entries = log_->read(0, 1000);
    EXPECT_TRUE(entries);
    for (const auto& entry : *entries) {
      all += entry.record + "\n";
    }
    return all;
  }

 private:
  template <class T>
  static Task<void> store(Task<Result<T>> task, std::optional<Result<T>>& out) {
    Result<T> result = co_await std::move(task);
    out = std::move(result);
  }

  boost::asio::io_context io_;
  SystemFileSystem system_;
  SystemRandom random_;
  async::TaskGroup tasks_;
  Core core_;
  std::unique_ptr<security::AuditLog> log_;
  std::unique_ptr<AuditWriter> writer_;

 public:
  std::unique_ptr<BreakGlass> glass;  // Holds a timer of io_: it goes first.
};

class BreakGlassTest : public ::testing::Test {
 protected:
  std::unique_ptr<GlassNode> node() {
    return std::make_unique<GlassNode>(fs_, dir_.path(), clock_);
  }
  static security::Decision denied(Verb verb) {
    return security::Policy{}.decide(Principal::local(0, {}), verb);
  }
  static constexpr const char* kWhy = "policy 7 locked the operators out";

  test::TempDir dir_;
  SystemFileSystem fs_;
  FakeClock clock_{WallTime{std::chrono::hours{500'000}}};
};

TEST_F(BreakGlassTest, OpensForRootWithAReasonAndSaysSoInTheLog) {
  const auto one = node();
  EXPECT_FALSE(one->glass->decide(Principal::local(0, {}), denied(Verb::kAdminPolicyWrite)));
  const auto begun = one->wait(one->glass->begin(root_caller(), kWhy, minutes{5}));
  ASSERT_TRUE(begun) << begun.error().to_string();
  EXPECT_EQ(begun->left, minutes{5});
  const auto decision =
      one->glass->decide(Principal::local(0, {}), denied(Verb::kAdminPolicyWrite));
  ASSERT_TRUE(decision);
  EXPECT_TRUE(decision->allowed);
  EXPECT_EQ(decision->role, BreakGlass::kRole);
  EXPECT_THAT(decision->reason, HasSubstr("denied: no binding names uid:0"));
  ASSERT_TRUE(one->wait(one->glass->use(root_caller(), "policy.set", *decision)));
  const auto ended = one->wait(one->glass->end(root_caller()));
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->uses, 1U);
  EXPECT_FALSE(one->glass->view());
  const std::string records = one->records();
  const auto intent = records.find(R"("phase":"intent")");
  const auto outcome = records.find(R"("phase":"outcome")");
  ASSERT_NE(intent, std::string::npos);
  ASSERT_NE(outcome, std::string::npos);
  EXPECT_LT(intent, outcome);
  EXPECT_LT(outcome, records.find("break_glass.use"));
  EXPECT_LT(records.find("break_glass.use"), records.find("break_glass.end"));
  EXPECT_THAT(records, HasSubstr(kWhy));
  EXPECT_FALSE(fs_.exists(dir_ / "break-glass.json"));
}

TEST_F(BreakGlassTest, NobodyElseOpensItAndTheAttemptIsRecorded) {
  const auto one = node();
  for (const Caller& caller : {Caller{Principal::local(1000, {0}), "peercred"},
                               Caller{Principal::token("root"), "token"},
                               Caller{Principal::local(0, {}), "token"},
                               Caller{Principal::system("sync"), "internal"},
                               Caller{}}) {
    const auto begun = one->wait(one->glass->begin(caller, kWhy, minutes{5}));
    ASSERT_FALSE(begun) << caller.principal.to_string();
    EXPECT_EQ(begun.error().code(), Error::Code::kPermissionDenied);
  }
  EXPECT_FALSE(one->glass->view());
  EXPECT_THAT(one->records(), HasSubstr("uid:1000"));
  EXPECT_THAT(one->records(), HasSubstr(R"("outcome":"denied")"));
}

TEST_F(BreakGlassTest, WantsAReasonAndABoundedTime) {
  const auto one = node();
  struct Row {
    std::string reason;
    seconds time;
  };
  for (const Row& row : std::vector<Row>{{"", minutes{5}},
                                         {"short", minutes{5}},
                                         {std::string(401, 'x'), minutes{5}},
                                         {"with a\nline feed", minutes{5}},
                                         {kWhy, BreakGlass::kLongest + seconds{1}},
                                         {kWhy, seconds{-1}}}) {
    const auto begun = one->wait(one->glass->begin(root_caller(), row.reason, row.time));
    ASSERT_FALSE(begun) << row.reason;
    EXPECT_EQ(begun.error().code(), Error::Code::kInvalidArgument) << row.reason;
  }
  EXPECT_FALSE(one->glass->view());
  const auto begun = one->wait(one->glass->begin(root_caller(), kWhy, seconds{0}));
  ASSERT_TRUE(begun);
  EXPECT_EQ(begun->left, BreakGlass::kDefault);
  const auto again = one->wait(one->glass->begin(root_caller(), kWhy, minutes{5}));
  ASSERT_FALSE(again) << "time must not be added silently";
  EXPECT_EQ(again.error().code(), Error::Code::kFailedPrecondition);
}

TEST_F(BreakGlassTest, GivesAdministrationToRootAndNothingElse) {
  const auto one = node();
  ASSERT_TRUE(one->wait(one->glass->begin(root_caller(), kWhy, minutes{5})));
  const Principal root = Principal::local(0, {});
  for (const Verb verb : security::all_verbs()) {
    const std::string name{to_string(verb)};
    const bool model_or_fleet =
        name == "infer" || name == "embed" || name == "tokenize" || name.starts_with("fleet.");
    EXPECT_EQ(one->glass->decide(root, denied(verb)).has_value(), !model_or_fleet) << name;
    EXPECT_FALSE(one->glass->decide(Principal::local(1000, {0}), denied(verb))) << name;
    EXPECT_FALSE(one->glass->decide(Principal::token("root"), denied(verb))) << name;
  }
}

TEST_F(BreakGlassTest, EndsByTheBootClockWhateverTheWallClockDoes) {
  const auto one = node();
  ASSERT_TRUE(one->wait(one->glass->begin(root_caller(), kWhy, minutes{5})));
  clock_.set_wall(WallTime{std::chrono::hours{900'000}});
  EXPECT_TRUE(one->glass->view()) << "the wall clock is not asked";
  clock_.set_wall(WallTime{});
  clock_.advance(minutes{5} - seconds{1});
  EXPECT_TRUE(one->glass->view());
  clock_.advance(seconds{1});
  EXPECT_FALSE(one->glass->view());
  EXPECT_FALSE(one->glass->decide(Principal::local(0, {}), denied(Verb::kAdminStatus)));
  one->poll_loop();
  EXPECT_THAT(one->records(), HasSubstr("its time is over"));
  EXPECT_FALSE(fs_.exists(dir_ / "break-glass.json"));
}

TEST_F(BreakGlassTest, AnOpeningThatIsOverIsToldBeforeTheNextBegins) {
  const auto one = node();
  ASSERT_TRUE(one->wait(one->glass->begin(root_caller(), kWhy, minutes{5})));
  clock_.advance(minutes{6});
  ASSERT_TRUE(
      one->wait(one->glass->begin(root_caller(), "a second time, for the same", minutes{1})));
  EXPECT_THAT(one->records(), HasSubstr("its time is over"));
  EXPECT_TRUE(fs_.exists(dir_ / "break-glass.json")) << "the note of the second one";
  EXPECT_EQ(one->glass->openings(), 2U);
}

TEST_F(BreakGlassTest, ARestartEndsItAndTheNextStartSaysSo) {
  {
    const auto one = node();
    ASSERT_TRUE(one->wait(one->glass->begin(root_caller(), kWhy, minutes{5})));
  }
  const auto two = node();
  EXPECT_FALSE(two->glass->view());
  ASSERT_TRUE(two->wait(two->glass->recover()));
  EXPECT_THAT(two->records(), HasSubstr("ended by a restart of the daemon"));
  EXPECT_THAT(two->records(), HasSubstr(kWhy));
  EXPECT_FALSE(fs_.exists(dir_ / "break-glass.json"));
  ASSERT_TRUE(two->wait(two->glass->recover())) << "nothing is left to tell";
}

TEST_F(BreakGlassTest, ANoteThatSomebodyBrokeIsStillToldOf) {
  ASSERT_TRUE(write_file_atomic(fs_, dir_ / "break-glass.json", "{"));
  const auto one = node();
  ASSERT_TRUE(one->wait(one->glass->recover()));
  EXPECT_THAT(one->records(), HasSubstr("its note on disk cannot be read"));
  EXPECT_FALSE(fs_.exists(dir_ / "break-glass.json"));
}

// Power goes at every operation of an opening: either it was never on, or the log and the note of
// the next start tell of it. It is never on without an intent on disk.
TEST_F(BreakGlassTest, APowerCutAtAnyPointLeavesNoSilentOpening) {
  bool fired = true;
  std::uint64_t points = 0;
  for (std::uint64_t k = 0; fired; ++k) {
    test::TempDir dir;
    test::FaultFileSystem fs{dir.path()};
    bool on = false;
    {
      GlassNode node{fs, dir.path(), clock_};
      fs.fail_at(k, test::Fault::kPowerCut);
      on = static_cast<bool>(node.wait(node.glass->begin(root_caller(), kWhy, minutes{5})));
      EXPECT_EQ(node.glass->view().has_value(), on) << k;
      fired = fs.fired();
    }
    fs.restart(test::Loss::kUnsynced);
    GlassNode next{fs, dir.path(), clock_};
    ASSERT_TRUE(next.wait(next.glass->recover())) << k;
    EXPECT_FALSE(next.glass->view()) << k;
    const std::string records = next.records();
    if (on) {
      EXPECT_THAT(records, HasSubstr("break_glass.begin")) << k;
      EXPECT_THAT(records, HasSubstr("ended by a restart")) << k;
    }
    ++points;
  }
  EXPECT_GT(points, 5U);
}

}  // namespace
}  // namespace skerry::agent
