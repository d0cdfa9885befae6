// A shared object that was linked without something it needs.
extern "C" int nowhereToBeFound(void);
extern "C" int flotilla_plugin(void);
extern "C" int flotilla_plugin(void) {
  return nowhereToBeFound();
}
