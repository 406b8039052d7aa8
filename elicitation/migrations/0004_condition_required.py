import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("elicitation", "0003_condition_of_every_trial")]

    operations = [
        migrations.AlterField(
            model_name="trial",
            name="condition",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="trials", to="elicitation.condition"
            ),
        ),
        migrations.AlterField(
            model_name="trial",
            name="pair",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="elicitation.pair"
            ),
        ),
    ]
