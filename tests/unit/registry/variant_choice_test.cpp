#include "skerry/registry/variant_choice.hpp"

#include <functional>

#include <gtest/gtest.h>

#include "registry_fixtures.hpp"

namespace skerry::registry {
namespace {

using test::make_file;
using test::make_variant;

constexpr std::uint64_t kGigabyte = 1'000'000'000;

Manifest three_variants() {
  auto f16 = make_variant("f16", {make_file(FileRole::kWeights, "f16.gguf", 3000, 1)});
  f16.needs.ram_bytes = 8 * kGigabyte;
  f16.quality = {{"accuracy", 0.95}, {"tokens_per_second", 10}, {"kld", 0.0}};
  auto q8 = make_variant("q8_0", {make_file(FileRole::kWeights, "q8.gguf", 2000, 2)});
  q8.needs.ram_bytes = 4 * kGigabyte;
  q8.needs.isa = {"avx2"};
  q8.quality = {{"accuracy", 0.94}, {"tokens_per_second", 20}, {"kld", 0.01}};
  auto q2 = make_variant("q2_k", {make_file(FileRole::kWeights, "q2.gguf", 1000, 3)});
  q2.needs.ram_bytes = 1 * kGigabyte;
  q2.quality = {{"accuracy", 0.70}, {"tokens_per_second", 40}, {"kld", 0.4}};
  return test::make_manifest("1.0.0", 1, {f16, q8, q2});
}

DeviceProfile large_device() {
  DeviceProfile device;
  device.arch = "x86_64";
  device.isa = {"avx2", "fma"};
  device.memory_available = 16 * kGigabyte;
  device.disk_free = kGigabyte;
  device.runtimes = {{"llamacpp", *SemanticVersion::parse("0.5.0"), {"gguf"}, {"cpu"}}};
  return device;
}

struct Row {
  const char* name;
  std::function<void(Manifest&, DeviceProfile&, VariantPolicy&, VariantContext&)> change;
  const char* chosen;
  // Reasons of f16, q8_0, q2_k.
  VariantReason reasons[3];
  const char* text;  // in the explanation
};

using R = VariantReason;

const Row kRows[] = {
    {"all fit, quality wins",
     [](auto&, auto&, auto&, auto&) {},
     "f16",
     {R::kChosen, R::kFitsButLessPreferred, R::kFitsButLessPreferred},
     "accuracy 0.95 against 0.94"},
    {"speed",
     [](auto&, auto&, auto& p, auto&) { p.goal = VariantGoal::kSpeed; },
     "q2_k",
     {R::kFitsButLessPreferred, R::kFitsButLessPreferred, R::kChosen},
     "tokens_per_second 40 against 10"},
    {"size",
     [](auto&, auto&, auto& p, auto&) { p.goal = VariantGoal::kSize; },
     "q2_k",
     {R::kFitsButLessPreferred, R::kFitsButLessPreferred, R::kChosen},
     "size 1000 against 3000"},
    {"little memory",
     [](auto&, auto& d, auto&, auto&) { d.memory_available = 5 * kGigabyte; },
     "q8_0",
     {R::kMemory, R::kChosen, R::kFitsButLessPreferred},
     "f16: needs 8.0 GB of memory, 5.0 GB available"},
    {"the decrypted copy does not fit",
     [](auto&, auto& d, auto&, auto&) {
       d.encrypts = true;
       d.memory_available = 8 * kGigabyte + 2999;
     },
     "q8_0",
     {R::kMemory, R::kChosen, R::kFitsButLessPreferred},
     "f16: needs 8.0 GB of memory (decrypted files included), 8.0 GB available"},
    {"no avx2",
     [](auto&, auto& d, auto&, auto&) {
       d.memory_available = 5 * kGigabyte;
       d.isa = {};
     },
     "q2_k",
     {R::kMemory, R::kInstructionSet, R::kChosen},
     "q8_0: needs the instruction set avx2"},
    {"nothing fits",
     [](auto&, auto& d, auto&, auto&) { d.memory_available = 1000; },
     "",
     {R::kMemory, R::kMemory, R::kMemory},
     "1.0 kB available"},
    {"the publisher prefers",
     [](auto& m, auto&, auto&, auto&) {
       m.prefer = {"q8_0", "f16"};
     },
     "q8_0",
     {R::kFitsButLessPreferred, R::kChosen, R::kFitsButLessPreferred},
     "the publisher's order"},
    {"the wish allows one",
     [](auto&, auto&, auto& p, auto&) { p.allowed = {"q2_k"}; },
     "q2_k",
     {R::kNotAllowed, R::kNotAllowed, R::kChosen},
     "not among the variants"},
    {"one failed here",
     [](auto&, auto&, auto&, auto& c) { c.known_bad = {"f16"}; },
     "q8_0",
     {R::kKnownBad, R::kChosen, R::kFitsButLessPreferred},
     "failed on this device before"},
    {"no engine",
     [](auto&, auto& d, auto&, auto&) { d.runtimes.clear(); },
     "",
     {R::kRuntimeMissing, R::kRuntimeMissing, R::kRuntimeMissing},
     "llamacpp, which is not installed"},
    {"old engine",
     [](auto& m, auto&, auto&, auto&) {
       m.variants[0].needs.runtime_min_version = *SemanticVersion::parse("0.6.0");
     },
     "q8_0",
     {R::kRuntimeTooOld, R::kChosen, R::kFitsButLessPreferred},
     "needs llamacpp 0.6.0 or newer, 0.5.0 is installed"},
    {"engine without the format",
     [](auto& m, auto&, auto&, auto&) { m.variants[0].format = "exl2"; },
     "q8_0",
     {R::kFormat, R::kChosen, R::kFitsButLessPreferred},
     "format exl2"},
    {"no such accelerator",
     [](auto& m, auto&, auto&, auto&) { m.variants[0].needs.accelerator = "cuda"; },
     "q8_0",
     {R::kAccelerator, R::kChosen, R::kFitsButLessPreferred},
     "accelerator cuda"},
    {"another architecture",
     [](auto& m, auto&, auto&, auto&) { m.variants[0].needs.arch = {"aarch64"}; },
     "q8_0",
     {R::kArchitecture, R::kChosen, R::kFitsButLessPreferred},
     "architecture x86_64"},
    {"little disk",
     [](auto&, auto& d, auto&, auto&) { d.disk_free = 2500; },
     "q8_0",
     {R::kDisk, R::kChosen, R::kFitsButLessPreferred},
     "needs 3.0 kB on disk, 2.5 kB free"},
    {"little disk, but the blob is here",
     [](auto& m, auto& d, auto&, auto& c) {
       d.disk_free = 2500;
       c.held = {m.variants[0].files[0].digest};
     },
     "f16",
     {R::kChosen, R::kFitsButLessPreferred, R::kFitsButLessPreferred},
     ""},
    {"the disk reserve counts",
     [](auto&, auto& d, auto& p, auto&) {
       d.disk_free = 3000;
       p.disk_reserve = 1500;
     },
     "q2_k",
     {R::kDisk, R::kDisk, R::kChosen},
     "1.5 kB free beyond the reserve"},
    {"a bound on speed",
     [](auto&, auto&, auto& p, auto&) { p.min_tokens_per_second = 15; },
     "q8_0",
     {R::kGoalUnmet, R::kChosen, R::kFitsButLessPreferred},
     "tokens_per_second of at least 15, measured 10"},
    {"a bound on divergence that was not measured",
     [](auto& m, auto&, auto& p, auto&) {
       p.max_kld = 0.05;
       m.variants[0].quality.erase("kld");
     },
     "q8_0",
     {R::kGoalUnmet, R::kChosen, R::kGoalUnmet},
     "kld of at most 0.05, none was measured"},
};

TEST(VariantChoice, Table) {
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    auto manifest = three_variants();
    auto device = large_device();
    VariantPolicy policy;
    VariantContext context;
    row.change(manifest, device, policy, context);
    const auto choice = choose_variant(manifest, device, policy, context);
    EXPECT_EQ(choice.variant, row.chosen);
    ASSERT_EQ(choice.verdicts.size(), 3U);
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(choice.verdicts[i].reason, row.reasons[i])
          << choice.verdicts[i].variant << ": " << choice.verdicts[i].text;
      EXPECT_FALSE(choice.verdicts[i].text.empty());
    }
    EXPECT_NE(choice.explain().find(row.text), std::string::npos) << choice.explain();
    const auto required = require_variant(manifest, choice);
    EXPECT_EQ(static_cast<bool>(required), *row.chosen != '\0');
    if (!required) {
      EXPECT_EQ(required.error().code(), Error::Code::kNoFittingVariant);
    }
    // Pure: asked again, it says the same.
    EXPECT_EQ(choose_variant(manifest, device, policy, context).explain(), choice.explain());
  }
}

TEST(VariantChoice, CountsTheBytesToFetchWithSharedFiles) {
  auto manifest = three_variants();
  manifest.shared = {make_file(FileRole::kGolden, "golden.jsonl", 50, 9).entry};
  VariantContext context;
  context.held = {manifest.variants[1].files[0].digest};
  const auto choice = choose_variant(manifest, large_device(), {}, context);
  EXPECT_EQ(choice.verdicts[0].bytes_to_fetch, 3050U);
  EXPECT_EQ(choice.verdicts[1].bytes_to_fetch, 50U);
}

TEST(VariantChoice, GoalsHaveNames) {
  for (const auto goal : {VariantGoal::kQuality, VariantGoal::kSpeed, VariantGoal::kSize}) {
    EXPECT_EQ(*parse_variant_goal(to_string(goal)), goal);
  }
  EXPECT_FALSE(parse_variant_goal("cheap"));
}

}  // namespace
}  // namespace skerry::registry
