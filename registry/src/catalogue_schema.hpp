#pragma once

// The catalogue's numbered migrations. docs/formats/registry.md describes the tables.

#include <span>

#include "skerry/common/sqlite.hpp"

namespace skerry::registry {

inline constexpr std::int32_t kCatalogueApplicationId = 0x534b5231;  // "SKR1"

std::span<const sqlite::Migration> catalogue_migrations();

}  // namespace skerry::registry
