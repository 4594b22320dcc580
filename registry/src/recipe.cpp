#include "skerry/registry/recipe.hpp"

#include <array>

namespace skerry::registry {
namespace {

constexpr std::string_view kRecipePrefix = "skerry.derive.";
constexpr std::size_t kMaxRecipeWord = 64;

bool is_recipe_word(std::string_view word) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.+";
  return !word.empty() && word.size() <= kMaxRecipeWord &&
         word.find_first_not_of(kAllowed) == std::string_view::npos;
}

}  // namespace

Result<Recipe> Recipe::parse(std::string_view text) {
  std::array<std::string_view, 4> words;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const auto space = i + 1 == words.size() ? std::string_view::npos : text.find(' ');
    words[i] = text.substr(0, space);
    text = space == std::string_view::npos ? std::string_view{} : text.substr(space + 1);
  }
  const auto source = Digest::parse(words[0]);
  if (!source || !is_recipe_word(words[1]) || !is_recipe_word(words[2]) ||
      !is_recipe_word(words[3])) {
    return Error{Error::Code::kManifestInvalid,
                 "a recipe is \"<digest of the source> <plugin> <engine release> <type>\""};
  }
  return Recipe{*source, std::string{words[1]}, std::string{words[2]}, std::string{words[3]}};
}

std::string Recipe::serialise() const {
  return source.to_string() + " " + plugin + " " + engine + " " + type;
}

std::string recipe_key(std::string_view variant) {
  return std::string{kRecipePrefix} + std::string{variant};
}

Result<std::optional<Recipe>> recipe_of(const Manifest& manifest, const Variant& variant) {
  const auto found = manifest.annotations.find(recipe_key(variant.name));
  if (found == manifest.annotations.end()) {
    return std::optional<Recipe>{};
  }
  auto recipe = Recipe::parse(found->second);
  if (!recipe) {
    return recipe.error().with_context(found->first);
  }
  return std::optional{std::move(*recipe)};
}

}  // namespace skerry::registry
