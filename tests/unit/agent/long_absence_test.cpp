// A gateway that is away for 500 days with a clock that nobody set: from its first boot to the day
// it is up to date again. Real installer, director client, catalogue, TUF client and certificates
// of both sides, on fake clocks; meanwhile both image keys and root changed twice, the director's
// root once, the certificate authority twice, and what the device holds has long expired, its own
// certificate too.

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <gtest/gtest.h>

#include "skerry/agent/installer.hpp"

#include "fleet_papers.hpp"
#include "signed_fleet.hpp"

namespace skerry::test {
namespace {

using security::TimeQuality;
namespace tuf = security::tuf;

// The controller, while it can be reached.
class FleetSource final : public agent::ModelSource {
 public:
  class Link final : public tuf::Fetcher, public registry::BlobSource {
   public:
    [[nodiscard]] std::string name() const override { return "controller"; }
    Result<std::string> fetch(std::string_view name, std::size_t limit) override {
      if (!connected) {
        return Error{Error::Code::kUnavailable, "no network"};
      }
      return FilesFetcher{files}.fetch(name, limit);
    }
    Result<void> read(const registry::BlobRange& range,
                      registry::ByteSink& sink,
                      const registry::CancelFlag&) override {
      const auto blob = blobs.find(range.digest);
      if (!connected || blob == blobs.end()) {
        return Error{Error::Code::kUnavailable, "no network"};
      }
      return sink.write(as_bytes(blob->second).subspan(range.offset, range.length));
    }
    bool connected = true;
    Files files;
    std::map<Digest, std::string> blobs;
  };

  [[nodiscard]] std::string name() const override { return "controller"; }
  tuf::Fetcher& metadata() override { return link; }
  registry::BlobSource& blobs() override { return link; }
  Link link;
};

// Honest people, over the years: new root keys, then new targets and online keys.
class Office {
 public:
  explicit Office(FleetSource& source) : source_(source) {
    put_root(1, keys_.root, keys_.root, keys_.targets, keys_.snapshot, keys_.timestamp);
    Repository::direct_root(
        director_, 1, keys_.director_root, keys_.director, {keys_.director_root});
  }

  [[nodiscard]] std::string image_root() const { return image_.served.at("1.root.json"); }
  [[nodiscard]] std::string director_root() const { return director_.served.at("1.root.json"); }

  // Publishes `models`, has the director assign the last of them, and gives the director's files.
  agent::MetadataFiles publish(const std::vector<SignedModel>& models,
                               std::uint64_t generation,
                               WallTime now) {
    ++version_;
    Json::Object entries;
    for (const SignedModel& model : models) {
      entries[model.path] = model.entry();
      source_.link.blobs[Digest::of(model.content)] = model.content;
    }
    Json::Object top = Part::of("targets", version_, now + 365 * kDay);
    top["targets"] = std::move(entries);
    image_.put("targets", top, {targets_[0], targets_[1]});
    image_.seal(version_, snapshot_, timestamp_, now);
    source_.link.files = image_.served;
    const SignedModel& wanted = models.back();
    Repository::direct(director_,
                       version_,
                       Repository::assignment(wanted.path, wanted.entry(), generation),
                       director_key_,
                       now);
    return {director_.served.begin(), director_.served.end()};
  }

  void change_keys() {
    const std::array<SignerPtr, 3> new_root{
        FleetKeys::fresh(), FleetKeys::fresh(), FleetKeys::fresh()};
    put_root(2, keys_.root, new_root, keys_.targets, keys_.snapshot, keys_.timestamp);
    const std::array<SignerPtr, 3> new_targets{
        FleetKeys::fresh(), FleetKeys::fresh(), FleetKeys::fresh()};
    put_root(3, new_root, new_root, new_targets, FleetKeys::fresh(), FleetKeys::fresh());
    const SignerPtr next_root = FleetKeys::fresh();
    director_key_ = FleetKeys::fresh();
    Repository::direct_root(
        director_, 2, next_root, director_key_, {keys_.director_root, next_root});
  }

 private:
  void put_root(std::int64_t version,
                const std::array<SignerPtr, 3>& before,
                const std::array<SignerPtr, 3>& root,
                const std::array<SignerPtr, 3>& targets,
                const SignerPtr& snapshot,
                const SignerPtr& timestamp) {
    std::vector<SignerPtr> signers{before[0], before[1]};
    if (root[0] != before[0]) {
      signers.push_back(root[0]);
      signers.push_back(root[2]);
    }
    image_.put("root",
               Part::root(version,
                          {root.begin(), root.end()},
                          2,
                          {targets.begin(), targets.end()},
                          2,
                          snapshot,
                          timestamp),
               signers);
    targets_ = targets;
    snapshot_ = snapshot;
    timestamp_ = timestamp;
  }

  FleetSource& source_;
  FleetKeys keys_;
  SignerPtr director_key_ = keys_.director;
  std::array<SignerPtr, 3> targets_;
  SignerPtr snapshot_;
  SignerPtr timestamp_;
  Repository image_;
  Repository director_;
  std::int64_t version_ = 0;
};

// One boot of the gateway over its state folder.
class Boot {
 public:
  Boot(const std::filesystem::path& state, const FakeClock& clock)
      : clock_(clock),
        tasks_(io_.get_executor(), [](const std::string&, const std::string&) {}),
        core_{io_.get_executor(),
              pool_.get_executor(),
              [this] { return boost::asio::any_io_executor{pool_.get_executor()}; },
              clock_,
              fs_,
              random_,
              Log{},
              settings(state),
              tasks_},
        catalogue_(*registry::Catalogue::open(state / "registry.db", clock_)),
        store_(*registry::BlobStore::open(fs_, *catalogue_, clock_, state)),
        time_(clock_, floor(), [] { return false; }),
        installer_(core_, *catalogue_, *store_, time_, 1U << 20U) {
    installer_.director().identify(kDevice);
  }
  ~Boot() { pool_.join(); }

  // Connects: the controller's time, the director's word, then the installer as the slot's driver
  // calls it. Gives the installed version.
  Result<std::string> follow(FleetSource& source,
                             const agent::MetadataFiles& directions,
                             std::optional<WallTime> controller) {
    if (controller && time_.vouch(*controller)) {
      EXPECT_TRUE(installer_.persist_time_floor());
    }
    const auto directed = installer_.director().take(directions);
    if (!directed) {
      return directed.error();
    }
    agent::activation::Offer offer;
    offer.generation = directed->assignments.at(0).generation;
    offer.target = directed->assignments.at(0).target;
    registry::CancelFlag cancel;
    const auto passed = installer_.preflight(offer, "default", {}, source, cancel);
    if (!passed) {
      return passed.error();
    }
    registry::ActivationRequest request;
    request.slot = SlotName{"default"};
    request.generation = offer.generation;
    request.manifest = passed->manifest->digest;
    request.variant = passed->variant;
    request.probation = false;
    const auto active = catalogue_->activate(request);
    return active ? Result<std::string>{active->active->version} : active.error();
  }

  // What is served comes from here, and asks no trust metadata.
  std::string serving() {
    const auto slot = catalogue_->slot(SlotName{"default"});
    return slot && slot->active ? slot->active->version : "nothing";
  }

  void keep(const SampleFile& file) { ASSERT_TRUE(store_file(*store_, file)); }
  agent::Installer& installer() { return installer_; }
  agent::DeviceTime& time() { return time_; }

 private:
  WallTime floor() {
    const auto kept = catalogue_->floor(agent::kTimeFloor);
    return WallTime{std::chrono::milliseconds{kept ? static_cast<std::int64_t>(*kept) : 0}};
  }
  static std::shared_ptr<const agent::Settings> settings(const std::filesystem::path& state) {
    const auto config = agent::parse_config(
        "state_dir = \"" + state.string() + "\"\n[runtime]\nplugin_dir = \"" +
            (state / "plugins").string() + "\"\n[activation]\ndisk_reserve = 0\n",
        "test.toml");
    EXPECT_TRUE(config) << config.error().to_string();
    return std::make_shared<const agent::Settings>(
        *agent::finalize(*config, agent::Environment{"/nowhere", "test", false}));
  }

  boost::asio::io_context io_;
  boost::asio::thread_pool pool_{1};
  const FakeClock& clock_;
  SystemFileSystem fs_;
  SystemRandom random_;
  async::TaskGroup tasks_;
  agent::Core core_;
  std::unique_ptr<registry::Catalogue> catalogue_;
  std::unique_ptr<registry::BlobStore> store_;
  agent::DeviceTime time_;
  agent::Installer installer_;
};

struct WrongClock {
  const char* name;
  const char* says;
};

class LongAbsenceTest : public ::testing::TestWithParam<WrongClock> {};

TEST_P(LongAbsenceTest, ItServesComesBackAndIsUpToDate) {
  TempDir dir;
  const auto state = dir / "state";
  SystemFileSystem fs;
  ASSERT_TRUE(fs.create_directories(state / "plugins", 0750));
  ASSERT_TRUE(write_file_atomic(fs, state / "plugins" / "skerry-null.so", "x"));
  const WallTime made = agent::build_time() + 30 * kDay;
  const WallTime wrong = *parse_rfc3339(GetParam().says);
  FakeClock clock{wrong};
  FleetSource source;
  Office office{source};
  Bureau bureau{dir / "controller", made};
  Bureau stranger{dir / "stranger", made};
  Papers papers{state};
  const SampleFile weights = make_file(registry::FileRole::kWeights, "weights.bin", 1000, 1);
  const auto model = [&](const std::string& version, std::uint64_t counter) {
    registry::Variant variant = make_variant("raw", {weights});
    variant.format = "null";
    variant.needs.runtime = "null";
    registry::Manifest manifest = make_manifest(version, counter, {variant});
    return SignedModel{
        manifest.target_path(), *manifest.serialise(), static_cast<std::int64_t>(counter)};
  };
  const SignedModel first = model("1.0.0", 1);
  const SignedModel second = model("2.0.0", 2);

  agent::MetadataFiles old_directions;
  {
    // The first boot: nobody ever set the clock, the controller says what time it is.
    Boot boot{state, clock};
    boot.keep(weights);
    ASSERT_TRUE(boot.installer().bootstrap_trust(office.image_root()));
    ASSERT_TRUE(boot.installer().director().pin(office.director_root()));
    EXPECT_FALSE(boot.time().now().attested());
    ASSERT_TRUE(fs.create_directories(state / "keys", 0700));
    const auto first_key = papers.held().key;
    ASSERT_TRUE(papers.keep(bureau.enrol(Papers::request(*first_key)), *first_key));
    EXPECT_TRUE(papers.believes(bureau.server_chain(), boot.time()));
    EXPECT_FALSE(papers.believes(stranger.server_chain(), boot.time()));
    old_directions = office.publish({first}, 1, made);
    const auto running = boot.follow(source, old_directions, made);
    ASSERT_TRUE(running) << running.error().to_string();
    EXPECT_EQ(*running, "1.0.0");
    EXPECT_EQ(boot.time().now().quality, TimeQuality::kAttested);
  }

  // 500 days without a network, a new boot every hundred, each with the same wrong clock.
  source.link.connected = false;
  for (int boots = 0; boots < 5; ++boots) {
    clock.set_wall(wrong);
    Boot boot{state, clock};
    EXPECT_EQ(boot.serving(), "1.0.0");
    EXPECT_GE(boot.time().floor(), made) << "time never goes back";
    clock.advance(100 * kDay);
    bureau.clock().advance(100 * kDay);
    // Elsewhere the authority changes twice, each time with two of them side by side for a while.
    if (boots == 0 || boots == 2) {
      ASSERT_TRUE(bureau.authorities().rotate(bureau.clock().wall_now()));
    } else if (boots == 1 || boots == 3) {
      ASSERT_TRUE(bureau.authorities().retire(boots == 1 ? 1 : 2, false));
    }
    EXPECT_EQ(boot.serving(), "1.0.0");
    // What was verified is still known, though all of it expired long ago.
    const auto known = boot.installer().find_target(first.path, source);
    EXPECT_TRUE(known) << known.error().to_string();
    EXPECT_TRUE(boot.installer().director().assignment("default"));
  }

  // Meanwhile, elsewhere.
  office.change_keys();
  const WallTime now = made + 500 * kDay;
  const agent::MetadataFiles directions = office.publish({first, second}, 2, now);
  source.link.connected = true;
  clock.set_wall(wrong);
  {
    // A thief with the connection alone has the old directions, and time is against him.
    Boot boot{state, clock};
    const auto stale = boot.follow(source, old_directions, now);
    ASSERT_FALSE(stale);
    EXPECT_EQ(stale.error().code(), Error::Code::kMetadataExpired);
    EXPECT_EQ(boot.serving(), "1.0.0");
  }
  const auto identity = *papers.held().identity;
  {
    // It knows the first authority alone, which has no say any more; how the present one follows
    // from it comes with the server's certificate. Then its own certificate, which ended.
    Boot boot{state, clock};
    EXPECT_TRUE(papers.believes(bureau.server_chain(), boot.time()));
    EXPECT_FALSE(papers.believes(stranger.server_chain(), boot.time()));
    EXPECT_GT(bureau.clock().wall_now(), papers.certificate().not_after());
    EXPECT_EQ(bureau.authorities()
                  .verify(papers.certificate(), now, controller::Authorities::Use::kCall)
                  .error()
                  .code(),
              Error::Code::kCertificateInvalid);
    const auto renewed = papers.renew(bureau);
    ASSERT_TRUE(renewed) << renewed.error().to_string();
  }
  Boot boot{state, clock};
  const auto running = boot.follow(source, directions, now);
  ASSERT_TRUE(running) << running.error().to_string();
  EXPECT_EQ(*running, "2.0.0");
  EXPECT_EQ(boot.serving(), "2.0.0");
  EXPECT_EQ(boot.time().now().now, now) << "the controller's time, not the wrong clock's";
  EXPECT_EQ(boot.installer().director().versions()->root, 2);
  const auto refreshed = boot.installer().refresh_trust(source);
  ASSERT_TRUE(refreshed) << refreshed.error().to_string();
  EXPECT_EQ(refreshed->root_version, 3);
  EXPECT_TRUE(refreshed->warnings.empty());
  // The same device as on the first day, with a certificate for the next 400, that trusts the third
  // authority alone and holds it to its dates.
  EXPECT_EQ(papers.held().identity->device_id, identity.device_id);
  EXPECT_EQ(papers.held().identity->key_file, "device-2.pem");
  EXPECT_TRUE(
      bureau.authorities().verify(papers.certificate(), now, controller::Authorities::Use::kCall));
  EXPECT_EQ(papers.held().identity->trust_bundle_pem, bureau.authorities().bundle_pem());
  ASSERT_TRUE(boot.time().now().attested());
  const std::string chain = bureau.server_chain();
  EXPECT_TRUE(papers.believes(chain, boot.time()));
  clock.advance(20 * kDay);
  boot.time().vouch(now + 100 * kDay);
  EXPECT_FALSE(papers.believes(chain, boot.time())) << "it ended after 90 days";
  // To another fleet the old certificate says nothing.
  EXPECT_FALSE(stranger.renew(identity, Papers::request(*papers.held().key)));
}

TEST_P(LongAbsenceTest, WithoutAnybodysTimeExpiryOnlyWarnsAndVersionsStayHard) {
  TempDir dir;
  const auto state = dir / "state";
  SystemFileSystem fs;
  ASSERT_TRUE(fs.create_directories(state, 0750));
  FakeClock clock{*parse_rfc3339(GetParam().says)};
  FleetSource source;
  Office office{source};
  DeviceCatalogue models;
  const SignedModel first = models.model("acme", "log-triage", "1.0.0", 1);
  Boot boot{state, clock};
  ASSERT_TRUE(boot.installer().bootstrap_trust(office.image_root()));
  const WallTime made = agent::build_time() + 30 * kDay;
  office.publish({first}, 1, made);
  const Files old = source.link.files;
  office.publish({first}, 1, made + kDay);
  ASSERT_TRUE(boot.installer().refresh_trust(source));
  EXPECT_FALSE(boot.time().now().attested());
  source.link.files = old;
  EXPECT_EQ(boot.installer().refresh_trust(source).error().code(), Error::Code::kRollback);
}

INSTANTIATE_TEST_SUITE_P(Clocks,
                         LongAbsenceTest,
                         ::testing::Values(WrongClock{"NeverSet", "1970-01-01T00:00:30Z"},
                                           WrongClock{"YearsBehind", "2019-06-01T00:00:00Z"},
                                           WrongClock{"FarAhead", "2088-01-01T00:00:00Z"}),
                         [](const auto& test) { return std::string{test.param.name}; });

}  // namespace
}  // namespace skerry::test
