#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/base/list.h"

struct item {
    int value;
    struct list link;
};

static int list_pop_value(struct list *head)
{
    struct list *link = list_pop(head);

    return link ? CONTAINER_OF(link, struct item, link)->value : -1;
}

static void test_list_keeps_the_order_of_insertion(void **state)
{
    struct list head = LIST_INIT(head);
    struct item items[4] = {{.value = 0}, {.value = 1}, {.value = 2}, {.value = 3}};

    (void)state;
    for (int i = 0; i < 4; i++)
        list_init(&items[i].link);
    list_append(&head, &items[2].link);
    list_append(&head, &items[3].link);
    list_prepend(&head, &items[0].link);
    list_insert_before(&items[2].link, &items[1].link);
    for (int i = 0; i < 4; i++)
        assert_int_equal(list_pop_value(&head), i);
    assert_int_equal(list_pop_value(&head), -1);
}

static void test_list_member_knows_whether_it_is_linked(void **state)
{
    struct list head = LIST_INIT(head);
    struct item item = {.value = 1};

    (void)state;
    list_init(&item.link);
    assert_true(list_empty(&head));
    assert_false(list_linked(&item.link));
    list_append(&head, &item.link);
    assert_false(list_empty(&head));
    assert_true(list_linked(&item.link));
    list_remove(&item.link);
    assert_true(list_empty(&head));
    assert_false(list_linked(&item.link));
}

static void test_list_remove_twice_is_harmless(void **state)
{
    struct list head = LIST_INIT(head);
    struct item first = {.value = 1};
    struct item second = {.value = 2};

    (void)state;
    list_init(&first.link);
    list_init(&second.link);
    list_append(&head, &first.link);
    list_append(&head, &second.link);
    list_remove(&first.link);
    list_remove(&first.link);
    assert_int_equal(list_pop_value(&head), 2);
    assert_true(list_empty(&head));
}

static void test_list_move_takes_all_in_their_order(void **state)
{
    (void)state;
    for (int n = 0; n <= 4; n++) {
        struct list from = LIST_INIT(from), to = LIST_INIT(to);
        struct item items[4] = {{.value = 0}};

        for (int i = 0; i < n; i++) {
            items[i].value = i;
            list_append(&from, &items[i].link);
        }
        list_move(&to, &from);
        assert_true(list_empty(&from));
        assert_int_equal(list_empty(&to), n == 0);
        for (int i = 0; i < n; i++)
            assert_int_equal(list_pop_value(&to), i);
        assert_true(list_empty(&to));
        assert_ptr_equal(to.previous, &to);
    }
}

/* What joins the old list meanwhile is not in the new one, and a member may leave the new one by itself. */
static void test_list_move_leaves_two_lists_that_both_work(void **state)
{
    struct list from = LIST_INIT(from), to = LIST_INIT(to);
    struct item items[4] = {{.value = 1}, {.value = 2}, {.value = 3}, {.value = 4}};

    (void)state;
    for (int i = 0; i < 3; i++)
        list_append(&from, &items[i].link);
    list_move(&to, &from);
    list_init(&items[3].link);
    list_append(&from, &items[3].link);
    list_remove(&items[1].link);
    assert_false(list_linked(&items[1].link));
    assert_int_equal(list_pop_value(&to), 1);
    assert_int_equal(list_pop_value(&to), 3);
    assert_int_equal(list_pop_value(&to), -1);
    assert_int_equal(list_pop_value(&from), 4);
    assert_true(list_empty(&from));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list_keeps_the_order_of_insertion),
        cmocka_unit_test(test_list_member_knows_whether_it_is_linked),
        cmocka_unit_test(test_list_remove_twice_is_harmless),
        cmocka_unit_test(test_list_move_takes_all_in_their_order),
        cmocka_unit_test(test_list_move_leaves_two_lists_that_both_work),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
