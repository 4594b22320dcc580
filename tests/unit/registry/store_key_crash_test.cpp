// The key of an encrypted store is made, moved and given up with every operation failing or being
// the last one before the power goes: what comes after is the old key or the new one, whole, and
// the step can be taken again.

#include <gtest/gtest.h>

#include "skerry/registry/store_key.hpp"

#include "fault_file_system.hpp"
#include "temp_dir.hpp"

namespace skerry::registry {
namespace {

using test::Fault;
using test::FaultFileSystem;
using test::Loss;

constexpr std::uint64_t kLimit = 500;

struct Way {
  const char* name;
  Fault fault;
  Loss loss;
};

class StoreKeyCrash : public ::testing::TestWithParam<Way> {
 protected:
  // One try of each case: a folder whose files may fail, with a key in it.
  struct Machine {
    test::TempDir dir;
    FaultFileSystem fs{dir.path()};

    [[nodiscard]] security::KeyUri uri(const std::string& name) const {
      return *security::KeyUri::parse("file:" + (dir / name).string());
    }
    Result<Bytes> secret(const std::string& name) {
      const auto key = StoreKey::open_or_create(fs, dir.path(), uri(name));
      return key ? Result<Bytes>{Bytes{(*key)->bytes().begin(), (*key)->bytes().end()}}
                 : key.error();
    }
    Result<void> move() { return StoreKey::rewrap(fs, dir.path(), uri("old.pem"), uri("new.pem")); }
    // What survived, for the next life.
    void restart() {
      if (GetParam().fault != Fault::kPowerCut) {
        fs.clear();
      }
      fs.restart(GetParam().loss);
    }
  };

  // `act` with the k-th operation failing, for every k; then `check`.
  template <class Prepare, class Act, class Check>
  void exhaust(Prepare prepare, Act act, Check check) {
    bool fired = true;
    std::uint64_t points = 0;
    for (std::uint64_t k = 0; fired; ++k) {
      ASSERT_LT(k, kLimit);
      SCOPED_TRACE("operation " + std::to_string(k));
      Machine machine;
      const auto prepared = prepare(machine);
      ASSERT_TRUE(prepared) << prepared.error().message();
      machine.fs.fail_at(k, GetParam().fault);
      const auto acted = act(machine);
      fired = machine.fs.fired();
      ASSERT_TRUE(fired || acted) << acted.error().message();
      points += fired ? 1U : 0U;
      machine.restart();
      check(machine, *prepared);
    }
    EXPECT_GT(points, 3U);
  }
};

TEST_P(StoreKeyCrash, AMoveLeavesTheOldKeyOrTheNewOne) {
  exhaust([](Machine& machine) { return machine.secret("old.pem"); },
          [](Machine& machine) { return machine.move(); },
          [](Machine& machine, const Bytes& secret) {
            const auto by_old = machine.secret("old.pem");
            const auto by_new = machine.secret("new.pem");
            ASSERT_NE(by_old.has_value(), by_new.has_value()) << "one of them, and not both";
            EXPECT_EQ(by_old ? *by_old : *by_new, secret) << "the blobs can be read";
            if (by_old) {
              const auto again = machine.move();
              ASSERT_TRUE(again) << again.error().message();
            }
            const auto moved = machine.secret("new.pem");
            ASSERT_TRUE(moved) << moved.error().message();
            EXPECT_EQ(*moved, secret);
          });
}

TEST_P(StoreKeyCrash, AFirstKeyIsThereOrCanBeMadeAgain) {
  exhaust([](Machine&) { return Result<Bytes>{Bytes{}}; },
          [](Machine& machine) { return machine.secret("kek.pem"); },
          [](Machine& machine, const Bytes&) {
            const auto made = machine.secret("kek.pem");
            ASSERT_TRUE(made) << made.error().message();
            machine.fs.restart(Loss::kUnsynced);
            const auto kept = machine.secret("kek.pem");
            ASSERT_TRUE(kept) << kept.error().message();
            EXPECT_EQ(*kept, *made) << "what it encrypts from here on can be read tomorrow";
          });
}

TEST_P(StoreKeyCrash, AKeyThatIsGivenUpIsReplacedAtTheLatestByTheNextTry) {
  exhaust(
      [](Machine& machine) {
        auto secret = machine.secret("old.pem");
        const auto gone = machine.fs.remove(machine.dir / "old.pem");
        const auto synced = machine.fs.sync_directory(machine.dir.path());
        return gone && synced ? secret : Result<Bytes>{Error{Error::Code::kIo, "not prepared"}};
      },
      [](Machine& machine) {
        return StoreKey::replace_lost(machine.fs, machine.dir.path(), machine.uri("new.pem"));
      },
      [](Machine& machine, const Bytes& lost) {
        const auto done =
            StoreKey::replace_lost(machine.fs, machine.dir.path(), machine.uri("new.pem"));
        ASSERT_TRUE(done) << done.error().message();
        machine.fs.restart(Loss::kUnsynced);
        const auto fresh = machine.secret("new.pem");
        ASSERT_TRUE(fresh) << fresh.error().message();
        EXPECT_NE(*fresh, lost);
      });
}

INSTANTIATE_TEST_SUITE_P(All,
                         StoreKeyCrash,
                         ::testing::Values(Way{"unsynced", Fault::kPowerCut, Loss::kUnsynced},
                                           Way{"torn", Fault::kPowerCut, Loss::kTorn},
                                           Way{"killed", Fault::kPowerCut, Loss::kNothing},
                                           Way{"io_error", Fault::kIoError, Loss::kNothing},
                                           Way{"no_space", Fault::kNoSpace, Loss::kNothing},
                                           Way{"quota", Fault::kQuota, Loss::kNothing},
                                           Way{"short_write", Fault::kShortWrite, Loss::kNothing}),
                         [](const auto& way) { return std::string{way.param.name}; });

}  // namespace
}  // namespace skerry::registry
