#include "skerry/registry/recipe.hpp"

#include <gtest/gtest.h>

#include "registry_fixtures.hpp"

namespace skerry::registry {
namespace {

const Recipe& sample_recipe() {
  static const Recipe recipe{Digest::of("f16"), "llamacpp", "b9999-1", "q4_k_m"};
  return recipe;
}

TEST(RecipeTest, SurvivesItsText) {
  const auto back = Recipe::parse(sample_recipe().serialise());
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(*back, sample_recipe());
}

TEST(RecipeTest, RefusesWhatIsNone) {
  const std::string source = Digest::of("f16").to_string();
  for (const std::string& text :
       std::vector<std::string>{{},
                                source,
                                source + " llamacpp b1",
                                source + " llamacpp b1 q8_0 more",
                                source + "  llamacpp b1 q8_0",
                                source + " llamacpp b1 ../q8_0",
                                source + " llamacpp b1 " + std::string(65, 'q'),
                                "sha256:12 llamacpp b1 q8_0",
                                Digest::of("f16").hex() + " llamacpp b1 q8_0"}) {
    EXPECT_FALSE(Recipe::parse(text)) << text;
  }
}

TEST(RecipeTest, IsASignedAnnotationOfItsVariant) {
  auto manifest = test::make_manifest(
      "1.0.0",
      1,
      {test::make_variant("f16", {test::make_file(FileRole::kWeights, "a", 300'000, 1)}),
       test::make_variant("q4_k_m", {test::make_file(FileRole::kWeights, "b", 300'000, 2)})});
  manifest.annotations[recipe_key("q4_k_m")] = sample_recipe().serialise();
  const auto back = Manifest::parse(*manifest.serialise());
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(**recipe_of(*back, *back->find_variant("q4_k_m")), sample_recipe());
  EXPECT_FALSE(recipe_of(*back, *back->find_variant("f16"))->has_value());
  manifest.annotations[recipe_key("f16")] = "nonsense";
  EXPECT_EQ(recipe_of(manifest, *manifest.find_variant("f16")).error().code(),
            Error::Code::kManifestInvalid);
}

}  // namespace
}  // namespace skerry::registry
